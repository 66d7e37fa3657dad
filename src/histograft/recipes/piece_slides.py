"""Slides as samples of a ladder of scales: what is looked at before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from histograft.core.errors import InputError
from histograft.core.units import check_mpp
from histograft.verbs.slide_samples import read_slide_samples, slide_table
from histograft.verbs.sources import read_source
from histograft.verbs.text_tables import read_text_table


def native_scales(samples: Path, mpp: float | None) -> list[float]:
    """Every µm/px that images or slides state; `mpp` is that of slides that state none."""
    slides = slide_table(samples)
    if slides is None:
        source = read_source(samples)
    else:
        source = read_slide_samples(slides, name=None, mpp=mpp)
    found = sorted({float(mpp) for mpp in source.table["mpp"].dropna().unique()})
    for scale in found:
        check_mpp(scale, f"{source.name}/{source.origin}, column mpp")
    return found


def check_labelled(samples: Path) -> None:
    """Refuse samples without labels: a network would learn a single class."""
    slides = slide_table(samples)
    if slides is None:
        read_source(samples)
    elif "label" not in read_text_table(slides, ["slide_id"]):
        raise InputError(
            f"{slides} states no label, and the teacher learns from labels",
            "add a column label; slides without labels can be given by --unlabelled",
        )


def check_predicted(
    samples: Path | None, scale: Literal["mpp", "relative"], mpp: float | None
) -> None:
    """Refuse slides to predict that cannot be used, before hours of training.

    Raises
    ------
    InputError
        They cannot be read, or state a scale where the ladder has factors.
    """
    if samples is None:
        return
    slides = slide_table(samples)
    if slides is None:
        read_source(samples, need_labels=False)
    elif scale == "relative":
        raise InputError(
            "--predict-slides are slides, whose scale is in µm/px, and --scale is relative",
            "give images for which factors mean the same, or a ladder in µm/px",
        )
    else:
        read_slide_samples(slides, name=None, mpp=mpp)
