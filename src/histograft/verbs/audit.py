"""The leakage report: what training and test rows share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

# Of 64 bits. All eight marked pairs of oral-oscc and re-encoded or turned copies lie within 4 bits
# (most at 0), none of 712,213 other pairs does; at 6 bits four of six further pairs are false.
NEAR_DUPLICATE_BITS = 4
PAIRS_LISTED = 200


def hash_table(patches: pd.DataFrame) -> NDArray[np.uint64]:
    """Parse the column ``perceptual_hash`` into an array (N, 8)."""
    import numpy as np

    rows = [[int(word, 16) for word in cell.split()] for cell in patches["perceptual_hash"]]
    return np.array(rows, dtype=np.uint64).reshape(len(rows), -1)


def leakage_report(patches: pd.DataFrame, side_px: int) -> dict[str, Any]:
    """Measure what the splits of one patches table share.

    Parameters
    ----------
    patches : pandas.DataFrame
        Columns of `histograft.core.tables.PATCHES`.
    side_px : int
        Side of a patch.

    Returns
    -------
    dict
        JSON values: ``groups_in_two_splits`` (list), ``groups_known`` (share of patches),
        ``exact_duplicates_across_splits`` and ``near_duplicates_across_splits`` (pairs of
        patches), ``near_duplicate_bits``, ``overlapping_test_share`` (share of test patches
        that overlap a training patch of the same image, None without test patches) and
        ``near_duplicate_pairs`` (the first `PAIRS_LISTED` pairs).
    """
    from histograft.stats.leakage import groups_across_splits, near_duplicate_pairs, overlap_share

    splits = patches["split"].to_numpy(str)
    first, second, distance = near_duplicate_pairs(hash_table(patches), NEAR_DUPLICATE_BITS)
    across = splits[first] != splits[second]
    first, second, distance = first[across], second[across], distance[across]
    content = patches["source_sha256"].to_numpy(str)
    images = patches.drop_duplicates("source_file")
    several = images.groupby("source_sha256")["split"].nunique()
    ids = patches["patch_id"].to_numpy(str)
    same_image = content[first] == content[second]
    boxes = patches[["x_px", "y_px"]].assign(width_px=side_px, height_px=side_px).to_numpy()
    return {
        "groups_in_two_splits": [
            str(group) for group, _ in groups_across_splits(patches["group"].to_numpy(str), splits)
        ],
        "groups_known": float((patches["group_source"] != "image").mean()),
        "exact_duplicates_across_splits": int((several > 1).sum()),
        "near_duplicates_across_splits": int((~same_image).sum()),
        "near_duplicate_bits": NEAR_DUPLICATE_BITS,
        "overlapping_test_share": overlap_share(
            boxes[splits == "test"],
            boxes[splits == "train"],
            patches["source_file"].to_numpy(str)[splits == "test"],
            patches["source_file"].to_numpy(str)[splits == "train"],
        ),
        "near_duplicate_pairs": [
            [str(ids[i]), str(ids[j]), int(d)]
            for i, j, d in zip(first, second, distance, strict=True)
        ][:PAIRS_LISTED],
    }


def leakage_sentences(report: dict[str, Any]) -> list[str]:
    """Say what a leakage report found, in sentences for people."""
    shared, known = report["groups_in_two_splits"], report["groups_known"]
    parts = [
        f"{len(shared)} groups in two splits" + (f" ({', '.join(shared[:5])})" if shared else ""),
        f"{report['exact_duplicates_across_splits']} exact and "
        f"{report['near_duplicates_across_splits']} near duplicate pairs across splits",
    ]
    if report["overlapping_test_share"] is not None:
        parts.append(
            f"{report['overlapping_test_share']:.1%} of test patches overlap training ones"
        )
    lines = ["leakage: " + ", ".join(parts)]
    if known < 1:
        lines.append(
            f"no group is known for {1 - known:.0%} of the patches: patients may be on both sides"
        )
    return lines


def shared_between(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, int]:
    """Count what two tables of patches share.

    Parameters
    ----------
    first, second : pandas.DataFrame
        Columns of `histograft.core.tables.PATCHES` or `FEATURE_INDEX`.

    Returns
    -------
    dict
        ``exact``: source images of `second` with the same content as one of `first`;
        ``near``: further patches of `second` whose perceptual hash is near one of `first`;
        ``names``: known groups of one name in both, which may be the same patients.
    """
    import numpy as np

    from histograft.stats.leakage import near_duplicate_pairs

    exact = second["source_sha256"].isin(set(first["source_sha256"])).to_numpy(bool)
    hashes = np.concatenate([hash_table(first), hash_table(second)])
    i, j, _ = near_duplicate_pairs(hashes, NEAR_DUPLICATE_BITS)
    low, high = np.minimum(i, j), np.maximum(i, j)
    across = (low < len(first)) & (high >= len(first))
    near = np.zeros(len(second), dtype=bool)
    near[high[across] - len(first)] = True
    known = [set(t.loc[t["group_source"] != "image", "group"]) for t in (first, second)]
    return {
        "exact": int(second.loc[exact, "source_sha256"].nunique()),
        "near": int((near & ~exact).sum()),
        "names": len(known[0] & known[1]),
    }


def near_pairs_in_two_groups(index: pd.DataFrame) -> int:
    """Count pairs of near duplicate patches in different groups: folds part groups, and so these.

    Copies of one file are not counted. `index` has the columns of
    `histograft.core.tables.FEATURE_INDEX`.
    """
    from histograft.stats.leakage import near_duplicate_pairs

    i, j, _ = near_duplicate_pairs(hash_table(index), NEAR_DUPLICATE_BITS)
    group, image = (index[name].to_numpy(str) for name in ("group", "source_sha256"))
    return int(((group[i] != group[j]) & (image[i] != image[j])).sum())


def shared_sentences(tuned: str, other: str, shared: dict[str, int]) -> list[str]:
    """Say what a set shares with the one that a network is tuned on; empty for nothing."""
    lines = []
    if shared["exact"] or shared["near"]:
        lines.append(
            f"{other} shares {shared['exact']} exact and {shared['near']} near duplicate image(s) "
            f"with {tuned}, on which the network is tuned"
        )
    if shared["names"]:
        lines.append(
            f"{shared['names']} group name(s) occur in both {tuned} and {other}: if these are the "
            "same patients, the network has seen them"
        )
    return lines
