"""All entries by name, and what follows from an entry and a list of files."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from histograft.catalogue.breakhis import BREAKHIS
from histograft.catalogue.crc_val_he_7k import CRC_VAL_HE_7K
from histograft.catalogue.entry import Entry
from histograft.catalogue.kather_2016 import KATHER_2016
from histograft.catalogue.lc25000 import LC25000
from histograft.catalogue.nct_crc_he_100k import NCT_CRC_HE_100K
from histograft.catalogue.nct_crc_he_100k_nonorm import NCT_CRC_HE_100K_NONORM
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
    )
}


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
    entry: Entry, relative_paths: Iterable[str]
) -> list[dict[str, str | float | None]]:
    """Make the rows of a samples table from the paths of a data set's images.

    Parameters
    ----------
    entry : Entry
        The data set.
    relative_paths : iterable of str
        Paths below its folder, with ``/`` between the parts.

    Returns
    -------
    list of dict
        In the order of the paths; ``file``, ``label``, ``group``, ``split`` and ``mpp`` (each
        None where the path does not tell it), and where the set has them ``magnification`` and
        ``superclass``. Paths that are not laid out as the entry says are left out, see
        `unmatched_files`.

    Examples
    --------
    >>> rows = samples_from_files(find_entry("LC25000"), ["lung_image_sets/lung_n/lungn1.jpeg"])
    >>> rows[0]["label"]
    'lung_n'
    """
    pattern = re.compile(entry.path_pattern)
    scales = dict(entry.mpp_by_magnification)
    coarse = {c.label: c.superclass for c in entry.classes}
    rows: list[dict[str, str | float | None]] = []
    for path in relative_paths:
        match = pattern.fullmatch(path)
        if match is None:
            continue
        found = match.groupdict()
        magnification = found.get("magnification")
        row: dict[str, str | float | None] = {
            "file": path,
            "label": found["label"],
            "group": found.get("group"),
            "split": found.get("split"),
            "mpp": scales.get(magnification) if magnification else None,
        }
        if magnification:
            row["magnification"] = magnification
        if superclass := coarse.get(found["label"]):
            row["superclass"] = superclass
        rows.append(row)
    return rows


def unmatched_files(entry: Entry, relative_paths: Iterable[str]) -> list[str]:
    """List the paths that are not laid out as the entry says, in their order.

    Examples
    --------
    >>> unmatched_files(find_entry("BreakHis"), ["cover.png"])
    ['cover.png']
    """
    pattern = re.compile(entry.path_pattern)
    return [path for path in relative_paths if pattern.fullmatch(path) is None]


def count_differences(entry: Entry, counts: Mapping[str, int]) -> list[str]:
    """Say how a local copy differs in number from the release.

    Parameters
    ----------
    entry : Entry
        The data set.
    counts : mapping of str to int
        Images of each label in the copy.

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
    total = sum(counts.values())
    if not messages and entry.expected_total is not None and total != entry.expected_total:
        messages.append(
            f"{entry.name}: {total:,} images in all, the release has {entry.expected_total:,}"
        )
    return messages


def _key(name: str) -> str:
    return name.strip().lower().replace("_", "-")
