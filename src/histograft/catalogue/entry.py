"""What is known of a public data set."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

LINE_LENGTH = 80
LABEL_WIDTH = 12


@dataclass(frozen=True)
class TissueClass:
    """One class of a data set.

    Attributes
    ----------
    label : str
        Its name in tables and file paths.
    meaning : str
        What it is, in words.
    images : int or None
        How many images the release has of it; None if that is not known.
    superclass : str or None
        Coarser class that it belongs to, such as ``"benign"``.
    """

    label: str
    meaning: str
    images: int | None = None
    superclass: str | None = None


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """The table of a release that says what its images show.

    Attributes
    ----------
    file : str
        Its name.
    image : str
        Column with the names of the images; see `histograft.catalogue.label_tables.image_key`.
    label : str or None
        Column of the class; None where `label_columns` are used.
    label_columns : tuple of str
        Columns of 0 and 1, one for each class of a multi-label set.
    words : tuple of (str, str)
        Classes of the table that go by another name here, and that name.
    group, split : str or None
        Columns of the group and of the split.
    split_arrays : tuple of (str, str)
        Split, and the NumPy file with the positions of its rows, which are counted from 0.
    """

    file: str
    image: str
    label: str | None = None
    label_columns: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    group: str | None = None
    split: str | None = None
    split_arrays: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ArrayFiles:
    """One split of a release that keeps its images in HDF5 files.

    Attributes
    ----------
    split : str
        ``"train"``, ``"val"`` or ``"test"``.
    images, labels : str
        File whose data set ``x`` holds images (N, H, W, 3), and file whose data set ``y`` holds
        one class number for each.
    facts : str
        CSV file with a row for each image.
    group : str
        Its column of the group.
    """

    split: str
    images: str
    labels: str
    facts: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A public data set: what it holds, at which scale, and how to read its folder.

    Attributes
    ----------
    name : str
        Name of the set and of its folder.
    title : str
        What it is, in one line.
    organ : str
        Where the tissue is from.
    classes : tuple of TissueClass
        In the order of the release.
    expected_total : int or None
        Images of the release; None if that is not known.
    size_px : tuple of int or None
        Width and height of its images; None where they differ.
    mpp : float or None
        µm/px of all images; None if it is not stated, or differs (`mpp_by_magnification`).
    mpp_source : str
        Who states it, or why nobody does.
    mpp_by_magnification : tuple of (str, float)
        µm/px for each value of the named group ``magnification`` of `path_pattern`.
    path_pattern : str
        Regular expression that the whole path of an image below the set's folder matches, with
        the named group ``label``, and where the path tells it ``group``, ``magnification`` and
        ``split``. Of a set with a `table` it has ``name`` instead of ``label``, and of one whose
        classes are in masks neither.
    example_path : str
        Path of one image.
    group_rule : str
        What a group is, or why none is known.
    license : str
        License of the data.
    citation : str
        Publication, with DOI.
    how_to_get : tuple of str
        Steps, in order.
    faults : tuple of str
        What is known to be wrong with it.
    warnings : tuple of str
        What people must hear whenever they use the set.
    table : LabelTable or None
        Table of the release with the labels, where paths do not tell them.
    split_words : tuple of (str, str)
        Words of the release for a split, and the split that they mean here.
    left_out : str
        Regular expression of the paths of further images that are no part of the set.
    mask_rule : tuple of (str, str) or None
        Regular expression and replacement that make the path of an image into that of its mask.
    mask_codes : tuple of (int, str)
        Code in the masks and class, of a set whose labels come from its masks.
    arrays : tuple of ArrayFiles
        HDF5 files of the release; `histograft catalogue import` makes images of them.
    checked : tuple of (str, str)
        Facts, and where they were read.
    unchecked : tuple of str
        Facts from general knowledge that nobody has looked up for this entry.
    """

    name: str
    title: str
    organ: str
    classes: tuple[TissueClass, ...]
    expected_total: int | None
    size_px: tuple[int, int] | None
    mpp: float | None
    mpp_source: str
    mpp_by_magnification: tuple[tuple[str, float], ...] = ()
    path_pattern: str
    example_path: str
    group_rule: str
    license: str
    citation: str
    how_to_get: tuple[str, ...]
    faults: tuple[str, ...]
    checked: tuple[tuple[str, str], ...]
    unchecked: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    table: LabelTable | None = None
    split_words: tuple[tuple[str, str], ...] = ()
    left_out: str = ""
    mask_rule: tuple[str, str] | None = None
    mask_codes: tuple[tuple[int, str], ...] = ()
    arrays: tuple[ArrayFiles, ...] = ()

    @property
    def group_known(self) -> bool:
        """Whether the path of an image, or a table of the release, tells its group."""
        in_table = bool(self.arrays) or (self.table is not None and self.table.group is not None)
        return in_table or "group" in re.compile(self.path_pattern).groupindex

    @property
    def expected_counts(self) -> dict[str, int]:
        """Images of each class, for the classes whose number is known."""
        return {c.label: c.images for c in self.classes if c.images is not None}

    def describe(self) -> str:
        """Say in plain text, for a terminal, everything that is known."""
        sections = [
            f"{self.name}\n{wrapped(self.title)}",
            "\n".join(self._overview()),
            "\n".join(["Classes", *self._class_lines()]),
            _bullets("How to get it", self.how_to_get, numbered=True),
            _bullets("Known faults", self.faults),
            _bullets("Read in", tuple(f"{fact}: {where}" for fact, where in self.checked)),
            _bullets("Not checked (general knowledge)", self.unchecked),
        ]
        return "\n\n".join(section for section in sections if section)

    def _overview(self) -> list[str]:
        total = "unknown" if self.expected_total is None else f"{self.expected_total:,}"
        return [
            _field("organ", self.organ),
            _field("images", f"{total}, {self._size()}"),
            _field("µm/px", f"{self._scale()} ({self.mpp_source})"),
            _field("group", self.group_rule),
            _field("path", self.example_path),
            _field("license", self.license),
            _field("cite", self.citation),
        ]

    def _size(self) -> str:
        return "of several sizes" if self.size_px is None else "{} x {} px".format(*self.size_px)

    def _scale(self) -> str:
        if self.mpp is not None:
            return f"{self.mpp:g}"
        if self.mpp_by_magnification:
            return ", ".join(f"{mpp:g} at {label}x" for label, mpp in self.mpp_by_magnification)
        return "unknown"

    def _class_lines(self) -> list[str]:
        width = max(len(c.label) for c in self.classes)
        lines = []
        for c in self.classes:
            count = "?" if c.images is None else f"{c.images:,}"
            coarse = "" if c.superclass is None else f" ({c.superclass})"
            mark = f"  {c.label:<{width}}  {count:>6}  "
            lines.append(wrapped(f"{c.meaning}{coarse}", mark))
        return lines


def wrapped(text: str, mark: str = "") -> str:
    """Break a text into lines of a terminal; those after the first begin beneath the mark's end.

    Examples
    --------
    >>> print(wrapped("a" * 70 + " " + "b" * 9, "  - "))  # doctest: +ELLIPSIS
      - aaa...
        bbbbbbbbb
    """
    return textwrap.fill(
        text,
        LINE_LENGTH,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _field(label: str, text: str) -> str:
    return wrapped(text, f"{label:<{LABEL_WIDTH}}")


def _bullets(heading: str, items: tuple[str, ...], *, numbered: bool = False) -> str:
    if not items:
        return ""
    lines = [heading]
    for number, item in enumerate(items, 1):
        lines.append(wrapped(item, f"  {number}. " if numbered else "  - "))
    return "\n".join(lines)
