"""The card of a fused network: of what it was made, and what to do before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from histograft.verbs.fuse_parents import Parents
from histograft.verbs.model_card import TAGS, loading_lines

if TYPE_CHECKING:
    from histograft.learning.network import NetworkSpec

HISTOKT = (
    "Zhang R, Zhu J, Yang S, Hosseini MS, et al. HistoKT: cross knowledge transfer in "
    "computational pathology. 2022; doi:[10.48550/arXiv.2201.11246](https://doi.org/10.48550/arXiv.2201.11246)."
)
REBASIN = (
    "Ainsworth SK, Hayase J, Srinivasa S. Git Re-Basin: merging models modulo permutation "
    "symmetries. 2023; doi:[10.48550/arXiv.2209.04836](https://doi.org/10.48550/arXiv.2209.04836)."
)
TEXT = """\
---
library_name: timm
pipeline_tag: image-feature-extraction
tags:
{tags}
---

# {architecture} fused of {n} networks

## What it is

A `{architecture}` of [timm](https://github.com/huggingface/pytorch-image-models) whose weights \
were computed from those of other networks, without training, by the mode `{mode}` of \
`histograft fuse`. It is meant as the start of a training.

| network | tuned on | µm/px |
|---|---|---|
{networks}

{statistics}
{classes}

`layers.csv` and `layers.png` say, layer by layer, what is left of each network. `manifest.json`
holds everything else, with versions of packages and a SHA-256 of each file.

## Input

RGB images of {patch_px} x {patch_px} px at {mpp}. Values are divided by 255, then
(value - mean) / std by channel, with mean {mean} and std {std}.

## How to load it

```python
{load}
```

## Use and limits

For research. It is no medical device, and no number here says how well it does. Images that any of
its parents was tuned on must not be tested on: `histograft` refuses them by `tuned_on.parquet`.

## License

That of the networks it was made of, and of the images that they were tuned on: look them up before
you pass it on.

## Citation

{citation}
"""


def fused_card(parents: Parents, spec: NetworkSpec, mode: str, target: str | None) -> str:
    """Write the card of a fused network as Markdown with a YAML header.

    Parameters
    ----------
    parents : Parents
        The networks that it was made of.
    spec : NetworkSpec
        Its own specification.
    mode : str
        How it was made.
    target : str or None
        Name of the patches that BatchNorm statistics were measured on.

    Returns
    -------
    str
        The text of ``README.md``; it names no place and no person.
    """
    rows = [
        f"| {name} | {artefact.facts.get('tuned_on', 'not known')} | {_scale(own.mpp)} |"
        for name, artefact, own in zip(parents.names, parents.artefacts, parents.specs, strict=True)
    ]
    return TEXT.format(
        tags="\n".join(f"- {tag}" for tag in TAGS),
        architecture=spec.architecture,
        n=len(parents.names),
        mode=mode,
        networks="\n".join(rows),
        statistics=_statistics(mode, target),
        classes=_classes(parents, spec.classes),
        patch_px=spec.patch_px,
        mpp="a scale that is not known to be one" if spec.mpp is None else f"{spec.mpp:g} µm/px",
        mean=_numbers(spec.mean),
        std=_numbers(spec.std),
        load=loading_lines(spec),
        citation=REBASIN if mode == "aligned-average" else HISTOKT,
    )


def _statistics(mode: str, target: str | None) -> str:
    if target is not None:
        return f"Its BatchNorm statistics were measured on the training rows of `{target}`."
    if mode == "first-only":
        return "It is the first of them, a control."
    return (
        "Where it has BatchNorm, the statistics are averages that fit no network: tune it, or fuse "
        "with `--recalibrate`, before its features are used."
    )


def _classes(parents: Parents, classes: Sequence[str]) -> str:
    if parents.same_head:
        return f"Its classes are {', '.join(classes)}."
    return "Its output layer was never trained, as the networks' dense layers do not fit."


def _scale(mpp: float | None) -> str:
    return "unknown" if mpp is None else f"{mpp:g}"


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.6g}" for value in values) + ")"
