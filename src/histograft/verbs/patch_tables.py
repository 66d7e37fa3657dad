"""The tables of a patches artefact, what is counted of them, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from histograft.core.reporter import Reporter
from histograft.core.tables import PATCHES, REJECTS, SPLITS
from histograft.verbs.audit import leakage_sentences
from histograft.verbs.patch_images import METADATA
from histograft.verbs.patching import ImageOutcome

if TYPE_CHECKING:
    import pandas as pd

REJECT_LOG = "rejects.csv"
# Reasons for which a patch of a good image is kept out: rules that were asked for, no faults.
KEPT_OUT = {
    "background": "as background",
    "unlabelled": "because their masks cover too little of them",
    "no-class": "because no class covers enough of them",
}
# Column of the images' table to column of the patches' table.
OF_THE_IMAGE = {
    "label": "label",
    "group": "group",
    "group_source": "group_source",
    "split": "split",
    "split_source": "split_source",
    "file": "source_file",
    "source_sha256": "source_sha256",
    "mpp": "mpp_native",
    "mpp_source": "mpp_source",
}


def patch_tables(
    table: pd.DataFrame, outcomes: list[ImageOutcome], target_mpp: float | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Join what is known of the images with what became of them.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each image; its ``attrs`` hold the data set's ``name``.
    outcomes : list of ImageOutcome
        In the order of the rows.
    target_mpp : float or None
        µm/px of the patches, None where the pixels were kept.

    Returns
    -------
    patches, rejects : pandas.DataFrame
        As `histograft.core.tables` describes them.
    """
    import pandas as pd

    known = table[list(OF_THE_IMAGE)].set_axis(list(OF_THE_IMAGE.values()), axis="columns")
    images = known.to_dict("records")
    rows = [
        image | {key: value for key, value in patch.items() if key != "shares"}
        for image, outcome in zip(images, outcomes, strict=True)
        for patch in outcome.patches
    ]
    rejected = [
        {"source_file": image["source_file"]} | reject
        for image, outcome in zip(images, outcomes, strict=True)
        for reject in outcome.rejects
    ]
    rejects = pd.DataFrame(rejected, columns=REJECTS.column_names())
    patches = pd.DataFrame(rows, columns=None if rows else PATCHES.column_names())
    patches["dataset"] = table.attrs["name"]
    patches["mpp"] = patches["mpp_native"]
    if target_mpp is not None:
        patches["mpp"] = patches["mpp"].where(patches["mpp"].isna(), target_mpp)
    return PATCHES.check(patches, METADATA), REJECTS.check(rejects, REJECT_LOG)


def patch_facts(
    patches: pd.DataFrame, rejects: pd.DataFrame, table: pd.DataFrame, leakage: dict[str, Any]
) -> dict[str, Any]:
    """Count what the manifest says of patches, rejects, images and leakage."""
    labels = [label.split("|") for label in patches["label"]]
    classes = sorted({label for parts in labels for label in parts})
    codes = table.attrs.get("mask_codes") or {}
    expected = {part for label in table["label"] for part in label.split("|")}
    multilabel = bool(codes) or max(map(len, labels)) > 1
    counts = {
        split: {str(k): int(v) for k, v in rows["label"].value_counts(sort=False).items()}
        for split in SPLITS
        if len(rows := patches[patches["split"] == split])
    }
    return {
        "dataset": table.attrs["name"],
        "origin": table.attrs["origin"],
        "task": "multilabel" if multilabel else "multiclass",
        "classes": classes,
        "lost_classes": sorted((set(codes.values()) or expected) - set(classes)),
        "n_images": len(table),
        "n_patches": len(patches),
        "n_groups": int(patches["group"].nunique()),
        "groups_known": bool((patches["group_source"] != "image").all()),
        "counts": counts,
        "split_source": sorted(patches["split_source"].unique()),
        "mpp_native": sorted({float(m) for m in patches["mpp_native"].dropna()}),
        "n_mpp_unknown": int((patches["mpp_source"] == "unknown").sum()),
        "n_upsampled": int(patches["upsampled"].sum()),
        "n_reflected": int(patches["reflected"].sum()),
        "rejects": {str(k): int(v) for k, v in rejects["reason"].value_counts().items()},
        "leakage": {key: value for key, value in leakage.items() if not key.endswith("_pairs")},
    }


def tell(facts: dict[str, Any], reporter: Reporter) -> None:
    """Say what came out, what was enlarged, rejected, lost or left out, and what leaks."""
    name = facts["dataset"]
    splits = ", ".join(f"{sum(c.values())} {split}" for split, c in facts["counts"].items())
    reporter.note(
        f"{name}: {facts['n_patches']} patches of {facts['n_images']} images, "
        f"{len(facts['classes'])} classes ({splits})"
    )
    if facts["n_upsampled"]:
        reporter.warn(
            f"{name}: {facts['n_upsampled']} patches were enlarged; their source is coarser "
            "than the target, and detail that was not there was not added"
        )
    if facts["n_reflected"]:
        reporter.warn(
            f"{name}: {facts['n_reflected']} of {facts['n_patches']} patches are of images smaller "
            "than a patch and were filled up by mirroring; a smaller --patch-px takes them whole"
        )
    for reason, why in KEPT_OUT.items():
        if count := facts["rejects"].get(reason):
            reporter.note(f"{name}: {count} patches were rejected {why}")
    if facts["lost_classes"]:
        reporter.warn(f"{name}: no patch is left of the class {', '.join(facts['lost_classes'])}")
    if unusable := {r: n for r, n in facts["rejects"].items() if r not in KEPT_OUT}:
        reasons = ", ".join(f"{n} {r}" for r, n in unusable.items())
        reporter.warn(f"{name}: {sum(unusable.values())} image(s) were left out ({reasons})")
    for sentence in leakage_sentences(facts["leakage"]):
        reporter.note(f"{name}: {sentence}")
