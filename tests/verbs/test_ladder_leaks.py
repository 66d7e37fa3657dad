"""What splits share is said on the page of a ladder."""

import pandas as pd
from small_pieces import write_pieces

from histograft.verbs.ladder_leaks import leakage_caveats, leakage_section
from histograft.verbs.rescale import Rescale, rescale


def pieces(folder, **groups):
    """Sixteen pieces of p0 to p7, of whom p6 and p7 are tested; some are renamed."""
    write_pieces(folder, 16)
    table = pd.read_csv(folder / "samples.csv").replace({"group": groups})
    table.to_csv(folder / "samples.csv", index=False)
    return rescale(Rescale(folder, out=folder / "made", scale="relative", workers=1))


def test_a_patient_of_two_splits_is_a_caveat(tmp_path):
    made = pieces(tmp_path / "set", p7="p0")
    (line,) = leakage_caveats([made])
    assert "1 group (p0): what was learned of them is tested" in line
    section = leakage_section([made])
    assert any("1 group name(s)" in text for text in section.text)
    assert section.tables[0].frame["groups"].tolist() == ["1"]


def test_whole_patients_are_none(tmp_path):
    made = pieces(tmp_path / "set")
    assert leakage_caveats([made]) == ()
    assert "No copy, near copy or shared group was found" in leakage_section([made]).text[0]
    assert leakage_section([]) is None
