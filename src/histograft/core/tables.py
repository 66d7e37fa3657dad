"""The tables that pass between verbs: their columns, and what each cell means.

The specifications here are the contract of `docs/formats.md`; `histograft.core.columns` checks
tables by them.
"""

from __future__ import annotations

from histograft.core.columns import Column, Kind, TableSpec

SPLITS = ("train", "val", "test")

# How units are tested, and what to call it before people.
PROTOCOLS = {
    "cv": "cross-validation",
    "external": "external test",
    "held-out": "held-out rows",
    "sites": "sites left out",
}


def _optional(name: str, kind: Kind, meaning: str) -> Column:
    return Column(name, kind, meaning, required=False, nullable=True)


def _nullable(name: str, kind: Kind, meaning: str) -> Column:
    return Column(name, kind, meaning, nullable=True)


SAMPLES = TableSpec(
    "samples",
    (
        Column("file", "text", "path of the image below the table's folder"),
        Column("label", "text", "class, or several joined by '|' for a multi-label set"),
        Column(
            "group", "text", "what must stay on one side of a split", required=False, nullable=True
        ),
        _optional("split", "text", "train, val or test"),
        Column(
            "mpp",
            "number",
            "micrometres per pixel of the file, above 0",
            required=False,
            nullable=True,
        ),
        Column(
            "mask", "text", "path of a label mask of the same size", required=False, nullable=True
        ),
    ),
    key=("file",),
)

SLIDES = TableSpec(
    "slides",
    (
        Column("slide_id", "text", "name of the slide; its files take it"),
        Column("file", "text", "path of the slide; a relative one starts at the table's folder"),
        _optional("patient_id", "text", "patient of the slide; a patient may have several"),
        _optional("mpp", "number", "micrometres per pixel of level 0, above 0; beats the file"),
        _optional("annotations", "text", "GeoJSON of regions to tile instead of the tissue found"),
    ),
    key=("slide_id",),
)

SLIDE_SAMPLES = TableSpec(
    "slide samples",
    (
        Column("slide_id", "text", "name of the slide"),
        Column("file", "text", "path of the slide; a relative one starts at the table's folder"),
        Column("label", "text", "class of the slide, or of the box", required=False),
        _optional("patient_id", "text", "patient of the slide; a patient may have several"),
        _optional("split", "text", "train, val or test"),
        _optional("mpp", "number", "micrometres per pixel of level 0, above 0; beats the file"),
        _optional("x0", "integer", "left edge of an annotated box, level-0 px"),
        _optional("y0", "integer", "upper edge of that box, level-0 px"),
        _optional("width0", "integer", "width of that box, level-0 px"),
        _optional("height0", "integer", "height of that box, level-0 px"),
    ),
)

PATCHES = TableSpec(
    "patches",
    (
        Column("file_name", "text", "path of the patch below the artefact's folder"),
        Column("patch_id", "text", "name of the patch, unique in the artefact"),
        Column("dataset", "text", "name of the data set"),
        Column("label", "text", "class, or several joined by '|'"),
        Column("group", "text", "what must stay on one side of a split; never empty"),
        Column(
            "group_source",
            "text",
            "'samples', 'catalogue', 'slide' (its patient is unknown) or 'image' (no group known)",
        ),
        Column("split", "text", "train, val or test"),
        Column("split_source", "text", "'samples', 'column', 'drawn' or 'drawn patches'"),
        Column("source_file", "text", "path of the source image below the samples' folder"),
        Column("source_sha256", "text", "SHA-256 of the source file"),
        Column("source_format", "text", "format of the source file, such as JPEG"),
        Column("source_mode", "text", "pixel mode of the source file, such as RGB"),
        Column(
            "source_quantization",
            "text",
            "JPEG quantisation tables as JSON",
            required=False,
            nullable=True,
        ),
        Column("source_width_px", "integer", "width of the source image"),
        Column("source_height_px", "integer", "height of the source image"),
        _optional("mpp_native", "number", "µm/px of the source"),
        Column(
            "mpp_source",
            "text",
            "'samples', 'catalogue', 'option' or 'unknown'; of slides also what states it",
        ),
        Column(
            "mpp",
            "number",
            "µm/px of the patch; empty where pixels were kept",
            required=False,
            nullable=True,
        ),
        Column("upsampled", "boolean", "whether the patch has more pixels than its source"),
        Column("x_px", "integer", "left edge of the patch in the rescaled image"),
        Column("y_px", "integer", "top edge of the patch in the rescaled image"),
        Column("reflected", "boolean", "whether the patch was filled up by reflection"),
        Column("perceptual_hash", "text", "64-bit hashes of the 8 flips and turns, hexadecimal"),
        _optional("mask_file_name", "text", "path of the patch's label mask"),
        _optional("slide_id", "text", "slide that it is a piece of"),
        _optional("patient_id", "text", "patient of the slide"),
        _optional("x0", "integer", "left edge of the piece, level-0 px of the slide"),
        _optional("y0", "integer", "upper edge of the piece, level-0 px"),
        _optional("width0", "integer", "width of the piece, level-0 px"),
        _optional("height0", "integer", "height of the piece, level-0 px"),
        _optional("area_mm2", "number", "area of its tissue, or of the annotated box, mm²"),
    ),
    key=("patch_id",),
)

REJECTS = TableSpec(
    "rejects",
    (
        Column("source_file", "text", "path of the source image below the samples' folder"),
        _optional("x_px", "integer", "left edge in the rescaled image"),
        _optional("y_px", "integer", "top edge in the rescaled image"),
        Column("reason", "text", "one word, such as 'background' or 'truncated'"),
        Column("detail", "text", "the measured value or the message"),
    ),
)

FEATURE_INDEX = TableSpec(
    "feature index",
    (
        Column("patch_id", "text", "name of the patch; row i of `features` is row i here"),
        Column("dataset", "text", "name of the data set"),
        Column("label", "text", "class, or several joined by '|'"),
        Column("group", "text", "as in the patches table"),
        Column("group_source", "text", "as in the patches table"),
        Column("split", "text", "as in the patches table"),
        _optional("mpp", "number", "µm/px of the patch"),
        Column("source_sha256", "text", "as in the patches table"),
        Column("perceptual_hash", "text", "as in the patches table"),
        Column("seen", "boolean", "whether the network was tuned on this image or its group"),
    ),
    key=("patch_id",),
)

DROPS = TableSpec(
    "drops",
    (
        Column("source", "text", "table or file in which it was found"),
        Column("kind", "text", "row, column, gene, sample, file, slide or patient"),
        Column("name", "text", "which one; of rows what they have in common"),
        Column("reason", "text", "one word, such as no-slide"),
        _nullable("detail", "text", "the measured value, or the reason in words"),
        Column("count", "integer", "how many, 1 or more"),
    ),
)

SLIDE_INDEX = TableSpec(
    "slide index",
    (
        Column("slide_id", "text", "name of the slide, and of its folder below slides/"),
        Column("patient_id", "text", "patient of the slide", nullable=True),
        Column("status", "text", "done, no tissue, or failed (which has no folder)"),
        Column("reason", "text", "why it failed, or what to look at", nullable=True),
        Column("n_tiles", "integer", "tiles with features"),
        Column("n_unreadable", "integer", "tiles that could not be read; they have none"),
        Column("tissue_mm2", "number", "area of the tissue, mm²", nullable=True),
        Column("mpp", "number", "µm/px of level 0", nullable=True),
        Column("mpp_source", "text", "where that is from", nullable=True),
        Column("mpp_effective", "number", "µm/px of the tiles", nullable=True),
    ),
    key=("slide_id",),
)

SLIDE_OUTCOMES = TableSpec(
    "slide outcomes",
    (
        Column("slide_id", "text", "name of the slide"),
        Column("status", "text", "done, no tissue, or failed"),
        Column("reason", "text", "why it failed, or what to look at", nullable=True),
        Column("remedy", "text", "what to do where it failed", nullable=True),
    ),
    key=("slide_id",),
)

PATIENT_INDEX = TableSpec(
    "patient index",
    (
        Column("patient_id", "text", "patient; row i of `features` is row i here"),
        Column("n_slides", "integer", "slides behind the features"),
        Column("n_tiles", "integer", "tiles behind the features"),
    ),
    key=("patient_id",),
)

NEAREST_TILES = TableSpec(
    "nearest tiles",
    (
        Column("slide_id", "text", "slide"),
        Column("model", "text", "name of the feature extractor"),
        Column("x0", "integer", "left edge of its tile nearest to the slide's mean, level-0 px"),
        Column("y0", "integer", "upper edge of that tile, level-0 px"),
        _nullable("side0", "integer", "side of that tile, level-0 px"),
        Column("distance", "number", "Euclidean, over features divided by their SD in the slide"),
    ),
    key=("slide_id", "model"),
)

FUSED_LAYERS = TableSpec(
    "fused layers",
    (
        Column("layer", "text", "matrix or convolution, as in the weights file"),
        Column("parent", "integer", "number of the network, from 1"),
        Column("network", "text", "its name"),
        Column("rows", "integer", "output channels, n"),
        Column("columns", "integer", "input channels x height x width, k"),
        Column(
            "retained_energy",
            "number",
            "share of its squared norm in the subspace that is kept, 0 to 1; empty for averages",
            nullable=True,
        ),
        Column(
            "energy_ratio", "number", "squared norm of the fused layer over its own", nullable=True
        ),
        Column(
            "distance",
            "number",
            "norm of the difference to the fused layer, over its own norm",
            nullable=True,
        ),
        Column(
            "order_sensitivity",
            "number",
            "change of the fused layer, over its norm, had this network come first",
            nullable=True,
        ),
    ),
    key=("layer", "parent"),
)

PREDICTIONS = TableSpec(
    "predictions",
    (
        Column("model", "text", "name of the feature extractor or shortcut baseline"),
        Column("dataset", "text", "data set whose units are predicted"),
        Column(
            "protocol", "text", "'cv', 'sites' (one site left out) or 'external' (fitted elsewhere)"
        ),
        Column("repeat", "integer", "repeat of the cross-validation, from 0"),
        Column("fold", "integer", "fold in which the unit was tested, from 0"),
        Column("unit", "text", "what is counted: patch, slide or patient"),
        Column("group", "text", "what is resampled in intervals"),
        Column("target", "text", "what is predicted, such as 'tissue'"),
        _optional("class", "text", "the class that `score` is about"),
        Column("truth", "text", "true class (or value)"),
        _optional("score", "number", "decision value of `class`"),
        Column("predicted", "text", "predicted class (or value)"),
    ),
)

VALUE_PREDICTIONS = TableSpec(
    "value predictions",
    (
        Column("model", "text", "name of the feature extractor"),
        Column("dataset", "text", "cohort whose patients are predicted"),
        Column(
            "protocol", "text", "'cv', 'sites' (one site left out) or 'external' (fitted elsewhere)"
        ),
        Column("repeat", "integer", "repeat of the cross-validation, from 0"),
        Column("fold", "integer", "fold in which the patient was tested, from 0"),
        Column("unit", "text", "patient"),
        Column("target", "text", "gene"),
        Column("truth", "number", "value of the patient"),
        Column(
            "predicted",
            "number",
            "predicted value; empty where the gene is constant",
            nullable=True,
        ),
    ),
)

RESULTS = TableSpec(
    "results",
    (
        Column("dataset", "text", "data set that is reported"),
        Column(
            "protocol",
            "text",
            "'cv', 'sites', 'external', or 'held-out': fitted on other rows of the same set",
        ),
        Column("target", "text", "what is predicted"),
        Column("model", "text", "fixed name of the feature extractor, such as imgnet-gap"),
        Column("label", "text", "what to call the model before people"),
        Column("metric", "text", "name of the metric; per class as recall:STR"),
        _nullable("value", "number", "the metric over all units, mean over repeats"),
        _nullable("ci_low", "number", "lower end of the 95 % interval"),
        _nullable("ci_high", "number", "upper end of the 95 % interval"),
        Column(
            "ci_unit",
            "text",
            "what is independent in the interval: group, mixed (groups, and patches of unknown "
            "group), image, patch or patient",
        ),
        Column("n_units", "integer", "units behind the value"),
        Column("n_groups", "integer", "groups behind the interval"),
        _nullable("repeat_sd", "number", "SD over repeats: split noise, not a CI"),
        _nullable("compared_with", "text", "model of the paired comparison"),
        _nullable("difference", "number", "value minus the other model's"),
        _nullable("difference_low", "number", "lower end of its paired 95 % interval"),
        _nullable("difference_high", "number", "upper end of its paired 95 % interval"),
        _nullable("test", "text", "name of the paired test"),
        _nullable("p_value", "number", "two-sided p of the paired test"),
        Column(
            "p_adjusted", "number", "the same after Holm over the report's family", nullable=True
        ),
    ),
)
