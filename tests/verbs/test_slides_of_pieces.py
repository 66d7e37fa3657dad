"""Images that a table gives a slide: it is kept, and keeps them on one side of a split."""

import pandas as pd
import pytest
from small_pieces import write_pieces

from histograft.core.artefact import open_artefact
from histograft.core.errors import InputError
from histograft.verbs.patch_images import load_patches
from histograft.verbs.rescale import Rescale, rescale


def made(folder, name, **columns):
    table = pd.read_csv(folder / "set" / "samples.csv").assign(**columns)
    path = folder / "set" / "samples.csv"
    table.to_csv(path, index=False)
    config = Rescale(folder / "set", out=folder / name, scale="relative", workers=1)
    return rescale(config)


def test_slides_are_kept_and_stand_in_for_patients(tmp_path):
    write_pieces(tmp_path / "set", 16)
    slides = [f"s{i // 4}" for i in range(16)]  # two patients each: 0-3 of p0 and p1
    with pytest.raises(InputError, match="slide s0 has images of 2 groups"):
        made(tmp_path, "wrong", slide=slides)
    one = made(tmp_path, "alone", slide=slides, group="", split="")
    table = load_patches(one).sort_values("source_file", key=lambda f: f.str[:-4].astype(int))
    assert list(table["slide_id"]) == slides
    assert set(table["group_source"]) == {"slide"}
    assert (table.groupby("slide_id")["split"].nunique() == 1).all()
    other = made(tmp_path, "patients", slide=[f"s{i // 2}" for i in range(16)], group=slides)
    assert other.id != one.id  # the slide decides too
    table = load_patches(open_artefact(other.path, "patches"))
    assert table["slide_id"].nunique() == 8
    assert set(table["group"]) == set(slides)
