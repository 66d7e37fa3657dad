"""All entries by name, and what follows from an entry and a list of files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from histograft.catalogue.adp import ADP
from histograft.catalogue.aj_lymph import AJ_LYMPH
from histograft.catalogue.bach import BACH
from histograft.catalogue.bcss import BCSS
from histograft.catalogue.breakhis import BREAKHIS
from histograft.catalogue.crc_7 import CRC_7
from histograft.catalogue.crc_val_he_7k import CRC_VAL_HE_7K
from histograft.catalogue.entry import Entry
from histograft.catalogue.glas import GLAS
from histograft.catalogue.kather_2016 import KATHER_2016
from histograft.catalogue.label_tables import ImageFacts, image_key
from histograft.catalogue.lc25000 import LC25000
from histograft.catalogue.mhist import MHIST
from histograft.catalogue.nct_crc_he_100k import NCT_CRC_HE_100K
from histograft.catalogue.nct_crc_he_100k_nonorm import NCT_CRC_HE_100K_NONORM
from histograft.catalogue.osteosarcoma import OSTEOSARCOMA
from histograft.catalogue.pcam import PCAM
from histograft.core.errors import InputError

ENTRIES: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        NCT_CRC_HE_100K,
        NCT_CRC_HE_100K_NONORM,
        CRC_VAL_HE_7K,
        LC25000,
        BREAKHIS,
        KATHER_2016,
        ADP,
        MHIST,
        BACH,
        AJ_LYMPH,
        PCAM,
        CRC_7,
        GLAS,
        OSTEOSARCOMA,
        BCSS,
    )
}
IN_MASK = "in its mask"
"""Label of an image whose classes only its mask tells."""


def find_entry(name: str) -> Entry:
    """Find an entry by its name, in capitals or not.

    Parameters
    ----------
    name : str
        Such as ``"NCT-CRC-HE-100K"``.

    Returns
    -------
    Entry
        The entry.

    Raises
    ------
    InputError
        No entry has that name; the message gives the names that come near.

    Examples
    --------
    >>> find_entry("breakhis").organ
    'breast'
    """
    by_key = {_key(known): known for known in ENTRIES}
    if (key := _key(name)) in by_key:
        return ENTRIES[by_key[key]]
    near = difflib.get_close_matches(key, by_key, n=3, cutoff=0.5)
    near += [known for known in by_key if key and key in known and known not in near]
    names = ", ".join(by_key[known] for known in near) or ", ".join(ENTRIES)
    raise InputError(
        f"the catalogue has no data set {name!r}",
        f"give {'one of' if len(near) != 1 else 'the name'} {names}; "
        "own data need no entry, a samples.csv or class folders will do",
    )


def samples_from_files(
    entry: Entry,
    relative_paths: Iterable[str],
    facts: Mapping[str, ImageFacts] | None = None,
) -> list[dict[str, str | float | None]]:
    """Make the rows of a samples table from the paths of a data set's images.

    Parameters
    ----------
    entry : Entry
        The data set.
    relative_paths : iterable of str
        Paths below its folder, with ``/`` between the parts.
    facts : mapping of str to ImageFacts, optional
        What the table of the release says, by `histograft.catalogue.label_tables.image_key`; for
        entries that have a table.

    Returns
    -------
    list of dict
        In the order of the paths; ``file``, ``label``, ``group``, ``split`` and ``mpp`` (each
        None where neither path nor table tells it), and where the set has them ``mask`` (if it is
        among the paths), ``magnification`` and ``superclass``. Paths that are not laid out as the
        entry says are left out, see `unmatched_files`; so are images that the table does not
        name. The label of an image whose classes are in its mask is `IN_MASK`.

    Examples
    --------
    >>> rows = samples_from_files(find_entry("LC25000"), ["lung_image_sets/lung_n/lungn1.jpeg"])
    >>> rows[0]["label"]
    'lung_n'
    """
    pattern = re.compile(entry.path_pattern)
    paths = list(relative_paths)
    known = set(paths)
    rows = []
    for path in paths:
        match = pattern.fullmatch(path)
        row = None if match is None else _row(entry, path, match.groupdict(), facts or {})
        if row is None:
            continue
        if (mask := _mask_of(entry, path)) in known:
            row["mask"] = mask
        rows.append(row)
    return rows


def _row(
    entry: Entry, path: str, found: Mapping[str, str | None], facts: Mapping[str, ImageFacts]
) -> dict[str, str | float | None] | None:
    label, group, split = found.get("label"), found.get("group"), found.get("split")
    if entry.mask_codes:
        label = IN_MASK
    if entry.table is not None:
        stated = facts.get(image_key(found["name"] or ""))
        if stated is None or not stated.label:
            return None
        label = stated.label
        group, split = stated.group or group, stated.split or split
    magnification = found.get("magnification")
    row: dict[str, str | float | None] = {
        "file": path,
        "label": label,
        "group": group,
        "split": None if split is None else dict(entry.split_words).get(split, split),
        "mpp": dict(entry.mpp_by_magnification).get(magnification) if magnification else None,
    }
    if magnification:
        row["magnification"] = magnification
    coarse = {c.label: c.superclass for c in entry.classes}
    if superclass := coarse.get(label or ""):
        row["superclass"] = superclass
    return row


def _mask_of(entry: Entry, path: str) -> str | None:
    if entry.mask_rule is None:
        return None
    pattern, replacement = entry.mask_rule
    mask, n_changes = re.subn(pattern, replacement, path)
    return mask if n_changes else None


def matched_files(entry: Entry, relative_paths: Iterable[str]) -> list[str]:
    """List the paths that are laid out as the entry says, in their order.

    Examples
    --------
    >>> matched_files(find_entry("PCam"), ["images/test/tumor/test-1.png", "cover.png"])
    ['images/test/tumor/test-1.png']
    """
    pattern = re.compile(entry.path_pattern)
    return [path for path in relative_paths if pattern.fullmatch(path)]


def unmatched_files(entry: Entry, relative_paths: Iterable[str]) -> list[str]:
    """List the paths that are not laid out as the entry says, in their order.

    Masks of the images and what the entry leaves out on purpose are not listed.

    Examples
    --------
    >>> unmatched_files(find_entry("BreakHis"), ["cover.png"])
    ['cover.png']
    """
    paths = list(relative_paths)
    matched = set(matched_files(entry, paths))
    expected = matched | {_mask_of(entry, path) for path in matched}
    return [
        path
        for path in paths
        if path not in expected and not (entry.left_out and re.fullmatch(entry.left_out, path))
    ]


def count_differences(
    entry: Entry, counts: Mapping[str, int], n_images: int | None = None
) -> list[str]:
    """Say how a local copy differs in number from the release.

    Parameters
    ----------
    entry : Entry
        The data set.
    counts : mapping of str to int
        Images of each label in the copy; not looked at where labels are in masks.
    n_images : int, optional
        Images of the copy; by default the sum of `counts`, which is right where each image has
        one label.

    Returns
    -------
    list of str
        One message for each kind of difference; empty where there is none. Numbers that the
        entry does not know are not compared.

    Examples
    --------
    >>> lc = find_entry("LC25000")
    >>> count_differences(lc, lc.expected_counts)
    []
    """
    messages = []
    labels = [c.label for c in entry.classes]
    total = sum(counts.values()) if n_images is None else n_images
    if entry.mask_codes:
        labels, counts = [], {}
    if missing := [label for label in labels if not counts.get(label)]:
        messages.append(f"{entry.name}: no image of the class(es) {', '.join(missing)}")
    if strange := sorted(set(counts) - set(labels)):
        messages.append(f"{entry.name}: the release has no class {', '.join(strange)}")
    differing = [
        f"{label} {counts[label]:,} of {expected:,}"
        for label, expected in entry.expected_counts.items()
        if counts.get(label) and counts[label] != expected
    ]
    if differing:
        messages.append(
            f"{entry.name}: other numbers of images than the release: {', '.join(differing)}"
        )
    if not messages and entry.expected_total is not None and total != entry.expected_total:
        messages.append(
            f"{entry.name}: {total:,} images in all, the release has {entry.expected_total:,}"
        )
    return messages


def _key(name: str) -> str:
    return name.strip().lower().replace("_", "-")
