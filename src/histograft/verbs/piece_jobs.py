"""Turn one source image into one piece on disk: the work of one task of `rescale`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from histograft.core.errors import ImageError
from histograft.core.files import write_bytes
from histograft.verbs.image_jobs import plain_name
from histograft.verbs.patching import ImageOutcome, png, read_image, table_row
from histograft.verbs.sources import Source, short_hash

if TYPE_CHECKING:
    import pandas as pd

    from histograft.verbs.rescale import Rescale


@dataclass(frozen=True)
class PieceJob:
    """One source image and where its piece goes.

    Attributes
    ----------
    path : pathlib.Path
        The image.
    name : str
        Path for people and messages.
    file_name : str
        Path of the piece below `out`.
    out : pathlib.Path
        Folder of the artefact.
    native_mpp : float or None
        µm/px of the image.
    level, limit_level : float
        What is made, and the level at which `max_pixels` counts.
    scale : {"mpp", "relative"}
        What the levels mean.
    max_pixels, max_image_px : int or None, int
        Of the piece, and of the source.
    """

    path: Path
    name: str
    file_name: str
    out: Path
    native_mpp: float | None
    level: float
    limit_level: float
    scale: Literal["mpp", "relative"]
    max_pixels: int | None
    max_image_px: int


def piece_jobs(table: pd.DataFrame, config: Rescale, source: Source, out: Path) -> list[PieceJob]:
    """List the jobs of a set; a piece has the same name at each level."""
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    return [
        PieceJob(
            path=source.root / row["file"],
            name=f"{source.name}/{row['file']}",
            file_name=f"images/{plain_name(Path(row['file']).stem)}-{short_hash(row['file'])}.png",
            out=out,
            native_mpp=row["mpp"],
            level=config.level,
            limit_level=config.max_pixels_level or config.level,
            scale=config.scale,
            max_pixels=config.max_pixels,
            max_image_px=config.max_image_px,
        )
        for row in rows
    ]


def planned_size(
    width: int, height: int, native_mpp: float | None, config: Rescale
) -> tuple[int, int]:
    """Return the (width, height) that `rescale_piece` will give an image, cut where it would be.

    Parameters
    ----------
    width, height : int
        Of the native image.
    native_mpp : float or None
        Its µm/px.
    config : Rescale
        With the level.
    """
    from histograft.imaging.scale_pair import central_window, level_factors, level_size

    limit_level = config.max_pixels_level or config.level
    factor, limit = level_factors([config.level, limit_level], native_mpp, kind=config.scale)
    window = central_window(width, height, limit, config.max_pixels)
    return level_size(*((width, height) if window is None else window[2:]), factor)


def rescale_piece(job: PieceJob) -> ImageOutcome:
    """Decode one image, cut it where it is too large, shrink it and write it.

    Returns
    -------
    ImageOutcome
        Its notes hold the sums of the channels as JSON, and "cut" where it was cut. An image that
        cannot be used becomes a reject with its reason.
    """
    from histograft.imaging.channel_sums import ChannelSums
    from histograft.imaging.phash import perceptual_hashes
    from histograft.imaging.read import MAX_PIXELS
    from histograft.imaging.scale_pair import at_level, central_window, level_factors

    try:
        image = read_image(job.path, job.name, job.max_image_px)
    except ImageError as error:
        reject = {"x_px": None, "y_px": None, "reason": error.reason, "detail": str(error)}
        return ImageOutcome([], [reject], {})
    factor, limit = level_factors([job.level, job.limit_level], job.native_mpp, kind=job.scale)
    pixels, notes = image.pixels, list(image.notes)
    window = central_window(pixels.shape[1], pixels.shape[0], limit, job.max_pixels)
    if window is not None:
        left, top, width, height = window
        pixels = pixels[top : top + height, left : left + width]
        notes.append("cut")
    piece = at_level(pixels, factor)
    if piece.shape[0] * piece.shape[1] > MAX_PIXELS:
        detail = (
            f"{job.name}: {piece.shape[1]:,} x {piece.shape[0]:,} px at this level are more than "
            f"{MAX_PIXELS:,}: take a coarser --level, or cut it by --max-pixels"
        )
        reject = {"x_px": None, "y_px": None, "reason": "large", "detail": detail}
        return ImageOutcome([], [reject], {})
    sums = ChannelSums.of(piece)
    notes.append(json.dumps([sums.n, sums.sums, sums.squares]))
    files = {job.file_name: write_bytes(job.out / job.file_name, png(piece))}
    x, y = (0, 0) if window is None else (round(window[0] / factor), round(window[1] / factor))
    row = table_row(job.file_name, image, x_px=x, y_px=y, reflected=False, upsampled=False)
    row["perceptual_hash"] = " ".join(f"{int(h):016x}" for h in perceptual_hashes(piece))
    return ImageOutcome([row], [], files, tuple(notes))
