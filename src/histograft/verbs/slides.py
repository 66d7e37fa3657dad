"""The table of slides that a user passes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from histograft.core.errors import InputError
from histograft.core.reporter import Reporter
from histograft.core.tables import SLIDES
from histograft.verbs.text_tables import read_text_table

if TYPE_CHECKING:
    import pandas as pd

SLIDE_ENDINGS = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".dcm", ".tif", ".tiff", ".vms", ".vmu", ".bif", ".svslide"}
)
PIECES = 16
PIECE_BYTES = 1 << 16
_SAFE_NAME = re.compile(r"[^/\\\x00-\x1f]{1,200}")


@dataclass(frozen=True)
class SlideEntry:
    """One slide of the table.

    Attributes
    ----------
    slide_id : str
        Its name.
    path : pathlib.Path
        Its file.
    patient_id : str or None
        Its patient, where stated.
    mpp : float or None
        µm/px of level 0 that the table states.
    annotations : pathlib.Path or None
        GeoJSON of regions to tile.
    """

    slide_id: str
    path: Path
    patient_id: str | None
    mpp: float | None
    annotations: Path | None


def read_slides(path: Path) -> list[SlideEntry]:
    """Read which slides there are.

    Parameters
    ----------
    path : pathlib.Path
        A table with the columns of `histograft.core.tables.SLIDES`, or a folder of slides, whose
        names without ending are then the slides' names. DICOM files of one series are one slide,
        which the first of them (by name) stands for.

    Returns
    -------
    list of SlideEntry
        In the table's order. Whether a file can be opened is not looked at here: one bad slide
        must not spoil a batch.

    Raises
    ------
    InputError
        The table cannot be read, a slide or a file occurs twice (also as two DICOM files of one
        series), a name cannot name a file, or a relative path leads out of the table's folder.
    """
    if path.is_dir():
        return _slides_of_folder(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give a table of slides or a folder of slides")
    table = SLIDES.check(read_text_table(path, ["slide_id", "file"]), str(path))
    return slide_entries(table, path)


def slide_entries(table: pd.DataFrame, path: Path) -> list[SlideEntry]:
    """Make entries of a table with a row for each slide, and refuse what cannot be one.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns ``slide_id``, ``file``, and if known ``patient_id``, ``mpp``, ``annotations``.
    path : pathlib.Path
        The table's file.

    Raises
    ------
    InputError
        As for `read_slides`.
    """
    if table.empty:
        raise InputError(f"{path} names no slide", "add a row for each slide")
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    entries = [
        SlideEntry(
            row["slide_id"],
            _below(path, row["file"]),
            row.get("patient_id"),
            row.get("mpp"),
            None if row.get("annotations") is None else _below(path, row["annotations"]),
        )
        for row in rows
    ]
    _refuse_bad_names(path, entries)
    _refuse_one_file_twice(path, entries)
    _refuse_one_series_twice(path, entries)
    return entries


def without_patient(entries: Sequence[SlideEntry]) -> list[str]:
    """Names of slides of which neither the table nor a TCGA barcode says the patient.

    Examples
    --------
    >>> barcode = "TCGA-CR-7395-01A-01-TS1"
    >>> entries = [SlideEntry(name, Path("a"), None, None, None) for name in (barcode, "a")]
    >>> without_patient(entries)
    ['a']
    """
    from histograft.molecular.barcodes import parse_barcode

    unknown = (entry for entry in entries if entry.patient_id is None)
    return [entry.slide_id for entry in unknown if parse_barcode(entry.slide_id) is None]


def tell_without_patient(entries: Sequence[SlideEntry], reporter: Reporter) -> None:
    """Warn of slides that `histograft pool` will have to leave out."""
    if not (unknown := without_patient(entries)):
        return
    if len(unknown) == len(entries):
        which = "no patient is stated of any slide"
    else:
        which = f"no patient is stated of {len(unknown)} of {len(entries)} slides ({unknown[0]} …)"
    reporter.warn(
        f"{which}: features of tiles need none, but `histograft pool` leaves such slides out; add "
        "a column patient_id to the table of slides"
    )


def refuse_absent(entry: SlideEntry, table: Path) -> None:
    """Refuse a slide whose file is not there, with the path that was written and where that leads.

    Parameters
    ----------
    entry : SlideEntry
        The slide.
    table : pathlib.Path
        The table of slides that names it, or their folder.

    Raises
    ------
    InputError
        Its file is not there.

    Examples
    --------
    >>> entry = SlideEntry("a", Path("/scans/lung/a.svs"), None, None, None)
    >>> refuse_absent(entry, Path("/scans/slides.csv"))
    Traceback (most recent call last):
    histograft.core.errors.InputError: lung/a.svs is not there: looked for /scans/lung/a.svs...
    """
    if entry.path.is_file():
        return
    written = entry.path
    if written.is_relative_to(table.parent):
        written = written.relative_to(table.parent)
    raise InputError(
        f"{written} is not there: looked for {entry.path.absolute()}",
        f"correct its path; relative paths start from the folder of {table.name}",
    )


def fingerprint(path: Path) -> str:
    """Hash that tells slides apart without reading gigabytes.

    SHA-256 of the size, of `PIECES` pieces spread evenly over the file (its begin and end among
    them), and, for formats of several files (MRXS, DICOM), of names and sizes of the others. Other
    slides in the same folder do not count.

    Parameters
    ----------
    path : pathlib.Path
        The slide.

    Returns
    -------
    str
        Hexadecimal digits.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for piece in range(PIECES):
            file.seek(piece * max(0, size - PIECE_BYTES) // (PIECES - 1))
            digest.update(file.read(PIECE_BYTES))
    for other in _companions(path):
        digest.update(f"{other.name}:{other.stat().st_size}".encode())
    return digest.hexdigest()


def _companions(path: Path) -> list[Path]:
    if path.suffix.lower() == ".mrxs":
        return sorted(p for p in path.with_suffix("").glob("*") if p.is_file())
    if _is_dicom(path):
        series = _dicom_series(path)
        others = (p for p in path.parent.iterdir() if p != path and _is_dicom(p))
        return sorted(p for p in others if _dicom_series(p) == series)
    return []


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() == ".dcm"


def _dicom_series(path: Path) -> bytes:
    """UID of the series that a DICOM file belongs to: a slide; empty where it is not found.

    Slides in DICOM are compressed, so that their elements are in explicit little-endian form: tag
    (0020,000E), the letters UI, and the length of the value in two bytes.
    """
    with path.open("rb") as file:
        _, found, rest = file.read(PIECE_BYTES).partition(b"\x20\x00\x0e\x00UI")
    length = int.from_bytes(rest[:2], "little")
    return rest[2 : 2 + length].rstrip(b"\0") if found else b""


def _slides_of_folder(folder: Path) -> list[SlideEntry]:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in SLIDE_ENDINGS)
    if not files:
        raise InputError(
            f"{folder} holds no slide ({', '.join(sorted(SLIDE_ENDINGS))})",
            "give a folder of slides, or a table with the columns slide_id and file",
        )
    files = _first_of_each_series(files)
    entries = [SlideEntry(file.stem, file, None, None, None) for file in files]
    names = [entry.slide_id for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"{folder}: several slides are called {twice[0]}",
            "write a table with the columns slide_id and file",
        )
    return entries


def _first_of_each_series(files: list[Path]) -> list[Path]:
    """Leave out DICOM files whose slide is listed already: any file of a series opens all of it."""
    kept, seen = [], set()
    for file in files:
        series = _series_if_known(file)
        if series and series in seen:
            continue
        seen.add(series)
        kept.append(file)
    return kept


def _series_if_known(path: Path) -> bytes:
    if not _is_dicom(path):
        return b""
    try:
        return _dicom_series(path)
    except OSError:  # the slide's own row will say so
        return b""


def _below(table: Path, name: str) -> Path:
    """Resolve a path of the table: absolute ones are the user's own, others stay in its folder."""
    file = Path(name)
    if file.is_absolute():
        return file
    if not (table.parent / file).resolve().is_relative_to(table.parent.resolve()):
        raise InputError(
            f"{table}: the path {name!r} leads out of the table's folder, which relative paths "
            "start from",
            "write an absolute path, or one below the table's folder",
        )
    return table.parent / file


def _refuse_bad_names(table: Path, entries: list[SlideEntry]) -> None:
    for entry in entries:
        if not _SAFE_NAME.fullmatch(entry.slide_id) or entry.slide_id.startswith("."):
            raise InputError(
                f"{table}: {entry.slide_id!r} cannot name a file",
                "use a slide_id without slashes that does not begin with a point",
            )


def _refuse_one_file_twice(table: Path, entries: list[SlideEntry]) -> None:
    first: dict[Path, str] = {}
    for entry in entries:
        whole = entry.path.resolve()
        if whole in first:
            raise InputError(
                f"{table}: {first[whole]} and {entry.slide_id} are the same file",
                "keep one row for each slide",
            )
        first[whole] = entry.slide_id


def _refuse_one_series_twice(table: Path, entries: list[SlideEntry]) -> None:
    first: dict[bytes, SlideEntry] = {}
    for entry in entries:
        if not (series := _series_if_known(entry.path)):
            continue
        other = first.setdefault(series, entry)
        if other is not entry:
            raise InputError(
                f"{table}: {other.slide_id} ({other.path.name}) and {entry.slide_id} "
                f"({entry.path.name}) are files of one DICOM series, which is one slide",
                "keep one row for each series: any of its files opens all of it",
            )
