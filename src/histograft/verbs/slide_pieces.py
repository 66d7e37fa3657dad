"""Pieces of slides for `rescale`: where they are, and the work of one task."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.files import write_bytes
from histograft.core.reporter import Reporter
from histograft.verbs.image_jobs import plain_name
from histograft.verbs.patching import ImageOutcome, png
from histograft.verbs.slide_faults import named_faults
from histograft.verbs.slide_samples import BOX
from histograft.verbs.sources import Source, short_hash

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.rescale import Rescale

MM2 = 1e-6  # of a µm²
Place = tuple[int, int, int, int]


@dataclass(frozen=True)
class FindJob:
    """A slide to find tissue on, or a box on it to look at.

    Attributes
    ----------
    path : pathlib.Path
        The slide.
    mpp : float
        µm/px of its level 0.
    box : (int, int, int, int) or None
        Left, upper edge, width and height of an annotated box, in level-0 pixels.
    least_tissue_mm2, margin_um : float
        Least area of a piece, and what is left around it.
    """

    path: Path
    mpp: float
    box: Place | None
    least_tissue_mm2: float
    margin_um: float


@dataclass(frozen=True)
class SlidePieceJob:
    """One piece of a slide and where it goes.

    Attributes
    ----------
    path : pathlib.Path
        The slide.
    file_name : str
        Path of the piece below `out`.
    out : pathlib.Path
        Folder of the artefact.
    mpp : float
        µm/px of level 0.
    place : (int, int, int, int)
        Left, upper edge, width and height in level-0 pixels.
    factor : float
        Level-0 pixels a pixel of the piece.
    is_cut : bool
        Whether it is the central field of a larger piece.
    known : dict
        Values of columns of the patches table.
    """

    path: Path
    file_name: str
    out: Path
    mpp: float
    place: Place
    factor: float
    is_cut: bool
    known: dict[str, Any]


def find_jobs(table: pd.DataFrame, config: Rescale) -> list[FindJob]:
    """List what to look at: a job for each row of a table of slides."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [
        FindJob(row["path"], row["mpp"], _box_of(row), config.least_tissue_mm2, config.margin_um)
        for row in rows
    ]


def _box_of(row: Mapping[Any, Any]) -> Place | None:
    if row["x0"] is None:
        return None
    return int(row["x0"]), int(row["y0"]), int(row["width0"]), int(row["height0"])


def find_pieces(job: FindJob) -> ImageOutcome:
    """Find the pieces of tissue on a slide, or check a box.

    Returns
    -------
    ImageOutcome
        Its ``patches`` are boxes, with ``area_mm2``. Its rejects have the reason ``unreadable``, or
        ``no-tissue`` or ``small``, which are no faults. Its notes are what a person should look at.
    """
    from histograft.imaging.slide import open_slide

    try:
        with named_faults(job.path.name), open_slide(job.path, mpp=job.mpp) as slide:
            if job.box is None:
                return _tissue(slide, job)
            x0, y0, width0, height0 = job.box
            if min(width0, height0) < 1 or not slide.pyramid.holds(*job.box):
                raise InputError(
                    f"{job.path.name}: the box of {width0} x {height0} px at ({x0}, {y0}) leaves "
                    f"the slide, which has {slide.width} x {slide.height} px",
                    "correct the box; it counts in level-0 pixels",
                )
            area_mm2 = width0 * height0 * job.mpp**2 * MM2
            return ImageOutcome([_box_row(job.box, area_mm2)], [], {})
    except InputError as error:
        return ImageOutcome([], [_reject("unreadable", str(error))], {})


def _tissue(slide: Any, job: FindJob) -> ImageOutcome:
    from histograft.imaging.slide_overview import read_overview
    from histograft.imaging.tissue import find_tissue
    from histograft.imaging.tissue_pieces import tissue_boxes

    overview = read_overview(slide)
    tissue = find_tissue(overview.pixels, overview.mpp)
    size0 = slide.width, slide.height
    found = tissue_boxes(tissue.mask, size0, slide.mpp0, job.margin_um)
    large = [box for box in found if box.area_um2 * MM2 >= job.least_tissue_mm2]
    rejects = [
        _reject("small", f"{box.area_um2 * MM2:.3g} mm² of tissue at {box.place}, level-0 px")
        for box in found
        if box not in large
    ]
    if not found:
        rejects.append(_reject("no-tissue", "; ".join(tissue.notes)))
    rows = [_box_row(box.place, box.area_um2 * MM2) for box in large]
    return ImageOutcome(rows, rejects, {}, tissue.notes if found else ())


def _box_row(place: Place, area_mm2: float) -> dict[str, Any]:
    return dict(zip(BOX, place, strict=True)) | {"area_mm2": area_mm2}


def _reject(reason: str, detail: str) -> dict[str, Any]:
    return {"x_px": None, "y_px": None, "reason": reason, "detail": detail}


def pieces_table(
    table: pd.DataFrame, found: list[ImageOutcome]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make a row for each piece, and one for each reason for which there is none.

    Parameters
    ----------
    table : pandas.DataFrame
        A row for each slide or box.
    found : list of ImageOutcome
        What `find_pieces` says of each row.

    Returns
    -------
    pieces, rejects : pandas.DataFrame
        The columns of `table` with boxes; and those of the rejects table.

    Raises
    ------
    InputError
        Slides cannot be read, boxes leave them, or there is no piece.
    """
    import pandas as pd

    from histograft.core.tables import REJECTS

    images = table.to_dict("records")
    both = list(zip(images, found, strict=True))
    rejected = [{"source_file": row["file"]} | r for row, one in both for r in one.rejects]
    if faults := [reject["detail"] for reject in rejected if reject["reason"] == "unreadable"]:
        shown = "\n  ".join(faults[:5])
        raise InputError(
            f"{len(faults)} of {len(table)} rows cannot be used:\n  {shown}",
            "mend them or take them out of the table, and run the same command again",
        )
    rows = [row | box for row, one in both for box in one.patches]
    if not rows:
        raise InputError(
            f"no piece of tissue is large enough on any of {table['slide_id'].nunique()} slides",
            "look at them (histograft doctor), or give a smaller --least-tissue-mm2",
        )
    rejects = REJECTS.check(
        pd.DataFrame(rejected, columns=REJECTS.column_names()), "pieces of slides"
    )
    return pd.DataFrame(rows), rejects


def slide_piece_jobs(
    table: pd.DataFrame, config: Rescale, source: Source, out: Path
) -> list[SlidePieceJob]:
    """List the jobs of the pieces; a piece has the same name at each level.

    Raises
    ------
    InputError
        A piece has too many pixels at the level, or the level is finer than a slide.
    """
    from histograft.imaging.scale_pair import central_window, level_factors

    jobs = []
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        limit = config.max_pixels_level or config.level
        factor, coarse = level_factors([config.level, limit], row["mpp"])
        x0, y0, width0, height0 = (int(row[name]) for name in BOX)
        whole = short_hash(f"{row['slide_id']} {x0} {y0} {width0} {height0}")
        name = f"{plain_name(row['slide_id'])}-{x0}-{y0}-{whole}"
        window = central_window(width0, height0, coarse, config.max_pixels)
        if window is not None:
            left, top, width0, height0 = window
            x0, y0 = x0 + left, y0 + top
        known = {name: row[name] for name in ("slide_id", "patient_id", "area_mm2")}
        file_name, place = f"images/{name}.png", (x0, y0, width0, height0)
        jobs.append(
            SlidePieceJob(
                row["path"], file_name, out, row["mpp"], place, factor, window is not None, known
            )
        )
    _refuse_large(jobs, config, source)
    return jobs


def _refuse_large(jobs: list[SlidePieceJob], config: Rescale, source: Source) -> None:
    """Refuse pieces that could not be opened again, before any is made."""
    from histograft.imaging.read import MAX_PIXELS
    from histograft.imaging.scale_pair import level_size

    most = min(config.max_image_px, MAX_PIXELS)
    sizes = [level_size(*job.place[2:], job.factor) for job in jobs]
    large = [i for i, (width, height) in enumerate(sizes) if width * height > most]
    if not large:
        return
    worst = max(large, key=lambda i: sizes[i][0] * sizes[i][1])
    width, height = sizes[worst]
    enough = config.level * (width * height / most) ** 0.5
    raise InputError(
        f"{source.name}: {len(large)} of {len(jobs)} pieces have more than {most:,} pixels at "
        f"{config.level:g} µm/px, such as {jobs[worst].known['slide_id']} with "
        f"{width:,} x {height:,} = {width * height:,}",
        f"take a coarser level ({enough:.3g} µm/px or more), cut such pieces to their central "
        "field (--max-pixels), or state smaller boxes in the columns x0, y0, width0, height0",
    )


def rescale_slide_piece(job: SlidePieceJob) -> ImageOutcome:
    """Read one piece from level 0, shrink it and write it.

    Returns
    -------
    ImageOutcome
        As of `piece_jobs.rescale_piece`.
    """
    from histograft.imaging.channel_sums import ChannelSums
    from histograft.imaging.phash import perceptual_hashes
    from histograft.imaging.slide import open_slide
    from histograft.imaging.slide_piece import piece_at_level
    from histograft.imaging.slide_reader import UnreadableRegionError

    try:
        with named_faults(job.path.name), open_slide(job.path, mpp=job.mpp) as slide:
            piece = piece_at_level(slide, job.place, job.factor)
            vendor, size0 = slide.vendor, (slide.width, slide.height)
    except (InputError, UnreadableRegionError) as error:
        detail = f"{job.path.name}, {job.place} in level-0 px: {error}"
        return ImageOutcome([], [_reject("unreadable", detail)], {})
    sums = ChannelSums.of(piece)
    notes = ["cut"] if job.is_cut else []
    notes.append(json.dumps([sums.n, sums.sums, sums.squares]))
    files = {job.file_name: write_bytes(job.out / job.file_name, png(piece))}
    row = {
        "file_name": job.file_name,
        "patch_id": Path(job.file_name).stem,
        "source_format": vendor,
        "source_mode": "RGB",
        "source_quantization": None,
        "source_width_px": size0[0],
        "source_height_px": size0[1],
        "x_px": round(job.place[0] / job.factor),
        "y_px": round(job.place[1] / job.factor),
        "reflected": False,
        "upsampled": False,
        "perceptual_hash": " ".join(f"{int(h):016x}" for h in perceptual_hashes(piece)),
    }
    row |= job.known | dict(zip(BOX, job.place, strict=True))
    return ImageOutcome([row], [], files, tuple(notes))


def slide_facts(
    pieces: pd.DataFrame, slides: pd.DataFrame, rejects: pd.DataFrame
) -> dict[str, Any]:
    """Count what became of the slides, for the manifest.

    Parameters
    ----------
    pieces : pandas.DataFrame
        The patches table.
    slides : pandas.DataFrame
        A row for each slide or box.
    rejects : pandas.DataFrame
        Of `pieces_table`.
    """
    seen = set(pieces["slide_id"])
    without = sorted(set(slides["slide_id"]) - seen)
    lost = sorted(set(slides["label"]) - set(pieces["label"]))
    return {
        "n_slides": int(slides["slide_id"].nunique()),
        "slides_without_pieces": without,
        "n_small": int((rejects["reason"] == "small").sum()),
        "lost_classes": lost,
        "tissue_mm2": round(float(pieces["area_mm2"].sum()), 4),
    }


def tell_left_out(name: str, facts: dict[str, Any], reporter: Reporter) -> None:
    """Say which slides and classes have no piece, and how many pieces are too small."""
    if without := facts["slides_without_pieces"]:
        reporter.warn(
            f"{name}: {len(without)} of {facts['n_slides']} slides have no piece of tissue that "
            f"is large enough ({', '.join(without[:5])}); rejects.csv says why"
        )
    if facts["lost_classes"]:
        reporter.warn(f"{name}: no piece is left of {', '.join(facts['lost_classes'])}")
    if facts["n_small"]:
        reporter.note(f"{name}: {facts['n_small']} pieces of tissue are too small")
