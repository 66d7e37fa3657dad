"""The stains that tiles are given: read from JSON, or fitted to an image or a slide."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.verbs.one_slide import STAIN_SAMPLE, StainConstants
from histograft.verbs.slide_plan import TileRules, plan_slide
from histograft.verbs.slides import SlideEntry
from histograft.verbs.tile_stream import TileStream, reading_threads

if TYPE_CHECKING:
    from histograft.imaging.stain import StainReference, TissueSample

# Files without a pyramid, which are read whole and need no µm/px: colors have no scale.
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
OF_REINHARD = {"mean", "sd"}


def choose_reference(
    path: Path | None,
    constants: StainConstants,
    slides: Sequence[SlideEntry],
    rules: TileRules,
    reporter: Reporter,
) -> StainReference:
    """Return published constants, or what a file states or shows.

    A reference is fitted to an image or a slide at the grey value of empty glass of the constants;
    one that is read states its own, which counts.

    Parameters
    ----------
    path : pathlib.Path or None
        As `find_reference` takes it.
    constants : {"torchstain", "paper"}
        Which published constants.
    slides, rules
        As `find_reference` takes them.
    reporter : Reporter
        Is warned where a file states another grey value than the constants that were asked for.

    Returns
    -------
    StainReference

    Raises
    ------
    InputError
        The file cannot be used.
    """
    from histograft.imaging.stain import PUBLISHED, TORCHSTAIN

    published = PUBLISHED[constants]
    if path is None:
        return published
    found = find_reference(path, slides, rules, io=published.io)
    if found.io != published.io and published != TORCHSTAIN:
        reporter.warn(
            f"--stain-reference {path} states an Io of {found.io:g}, which counts: that of "
            f"--stain-constants {constants} ({published.io:g}) is not used; to have it, fit the "
            "reference to an image or a slide"
        )
    return found


def find_reference(
    path: Path, slides: Sequence[SlideEntry], rules: TileRules, *, io: float
) -> StainReference:
    """Read a reference, or fit one.

    Parameters
    ----------
    path : pathlib.Path
        JSON (``stain_reference.json`` of an earlier run, or ``stains.json`` of one slide, whose
        own stains are then taken); an image of tissue, all of which is looked at; or a slide, of
        which `STAIN_SAMPLE` tiles are looked at, spread over its tissue.
    slides : sequence of SlideEntry
        The table of slides: a reference that is one of them has its µm/px and annotations from it.
    rules : TileRules
        How a slide is tiled.
    io : float
        Grey value of empty glass in what a reference is fitted to.

    Returns
    -------
    StainReference

    Raises
    ------
    InputError
        The file cannot be read, or does not show two stains.
    """
    if not path.is_file():
        raise InputError(
            f"--stain-reference {path} is not there, or is no file",
            "correct its path: a JSON that embed wrote, or an image or a slide to fit it to",
        )
    if path.suffix.lower() == ".json":
        return _of_text(path)
    return _fitted(path, slides, rules, io)


def _of_text(path: Path) -> StainReference:
    from histograft.imaging.stain import StainReference

    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--stain-reference {path} cannot be read ({error})", "give the JSON that embed wrote"
        ) from error
    if isinstance(content, dict) and set(content) >= OF_REINHARD:
        raise InputError(
            f"--stain-reference {path} is a reference for Reinhard's colors, and --stain is "
            "Macenko's stains",
            "fit one to an image or a slide: --stain-reference FILE",
        )
    if isinstance(content, dict) and {"status", "stains"} <= set(content):
        if content["stains"] is None:
            raise InputError(
                f"--stain-reference {path} is of a slide whose stains were not found "
                f"({content['status']})",
                "take the JSON of another slide",
            )
        text = json.dumps(content["stains"] | {"name": f"stains of {path.parent.name}"})
    try:
        return StainReference.from_json(text)
    except InputError as error:
        raise InputError(
            f"--stain-reference {path}: {error.problem}",
            "give the JSON that embed wrote, or an image or a slide to fit it to",
        ) from error


def _fitted(
    path: Path, slides: Sequence[SlideEntry], rules: TileRules, io: float
) -> StainReference:
    from histograft.imaging.stain import TissueSample, estimate_stains

    sample = TissueSample(io=io)
    if path.suffix.lower() in PICTURES:
        _add_picture(path, sample)
    else:
        _add_slide(path, slides, rules, sample)
    found = estimate_stains(sample, name=path.name)
    if found.stains is None:
        raise InputError(
            f"--stain-reference {path}: no reference can be fitted to it "
            f"({found.status.explanation})",
            "take a file with nuclei and stroma in H&E",
        )
    return found.stains


def _add_picture(path: Path, sample: TissueSample) -> None:
    from histograft.imaging.read import decode_image

    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"--stain-reference {path} cannot be read ({error.strerror})", "correct its path"
        ) from error
    sample.add(decode_image(data, path.name).pixels[None])


def _add_slide(
    path: Path, slides: Sequence[SlideEntry], rules: TileRules, sample: TissueSample
) -> None:
    from histograft.imaging.slide_tiles import TileStatus

    whole = path.resolve()
    listed = (entry for entry in slides if entry.path.resolve() == whole)
    entry = next(listed, SlideEntry(path.stem, path, None, None, None))
    # A slide that is too coarse for the features shows its stains none the less.
    rules = replace(rules, upsample="allow")
    try:
        plan = plan_slide(entry, rules)
    except InputError as error:
        fix = f"{error.fix}; or give a PNG or JPEG of tissue, which needs no µm/px"
        raise InputError(f"--stain-reference {path}: {error.problem}", fix) from error
    step = max(1, -(-len(plan.coords) // STAIN_SAMPLE))
    with TileStream(
        path, entry.mpp, plan.spec, upsample="allow", threads=reading_threads(None)
    ) as stream:
        for part in stream.parts(plan.coords[::step]):
            sample.add(part.tiles[part.status == TileStatus.READ])
