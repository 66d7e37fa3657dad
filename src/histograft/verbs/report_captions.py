"""Captions of the pictures of a report, and what each shows for those who cannot see it."""

from __future__ import annotations

Caption = tuple[str, str]  # caption, text for those who cannot see the picture

PAIR_FOREST: Caption = (
    "What tuning changed: difference in accuracy with its paired 95 % interval, and the p value "
    "after Holm's correction. Filled: the interval leaves out 0.",
    "Forest plot of the differences in accuracy between tuned features and the baseline.",
)
FOREST: Caption = (
    "Difference in accuracy of every model to the baseline, on one axis; read as above.",
    "Forest plots of the differences in accuracy between each model and the baseline.",
)
PAIR: Caption = (
    "Overall accuracy before and after tuning (Fig. 2 of Li 2022). Box: the repeats of the "
    "cross-validation, that is how much the number depends on how the folds fell. Diamond and bar: "
    "estimate and 95 % interval, that is how much it depends on the cases. Axes differ.",
    "Box plots of accuracy over repeats with intervals, two models for each data set.",
)
ACCURACY: Caption = (
    "Overall accuracy of all models. The shortcut baselines use no network; what they reach is "
    "told by color or file format alone.",
    "Box plots of accuracy over repeats with intervals, for each data set and model.",
)
CLASSES: Caption = (
    "Recall by class (Fig. 3 of Li 2022): boxes over repeats; diamond and bar: estimate and 95 % "
    "interval.",
    "Box plots of recall for each class.",
)
CONFUSION: Caption = (
    "Rows: the true class, with its patches; columns: the predicted one. Cells: share of the true "
    "class in %, and number of patches (mean over repeats). Blue: right; orange: wrong.",
    "Confusion matrices of two models.",
)
FEATURES: Caption = (
    "t-SNE maps of the features (PCA start, perplexity 30, one seed for all panels), with the "
    "accuracy of the 10 nearest neighbors in the full feature space above each.",
    "Scatter plots of two-dimensional maps of the features, colored by class.",
)
PATCHES: Caption = (
    "Random patches of each class.",
    "Sample patches of each data set, a row for each class.",
)
FUSED = "Energy, distance and order sensitivity of each layer, for each network."
TRAINING = "Loss and accuracy over the epochs of training."
AREAS: Caption = (
    "Area under the ROC curve by gene, with 95 % interval over patients (Fig. 6 of Li 2022). "
    "Beside each gene: how many patients are mutated.",
    "Areas under the ROC curve by gene and model with intervals.",
)
AREAS_TESTED: Caption = (
    f"{AREAS[0][:-1]}, and the paired test after Holm's correction over genes.",
    AREAS[1],
)
CALIBRATION: Caption = (
    "Are probabilities right? Patients in bins of similar predicted probability: the share of them "
    "that is mutated, with Wilson's 95 % interval, which takes patients for independent. On the "
    "broken line predictions are right.",
    "Reliability curves by gene and model with intervals.",
)
SLOPES = (
    "A slope below 1 says that they are too extreme, above 1 that they say too little; of few "
    "patients it is uncertain."
)
WATERFALL: Caption = (
    "Difference in correlation by gene, sorted (Fig. 4 of Li 2022). Filled: genes that either "
    "model predicts (permuted patients, false discovery rate 5 %).",
    "Genes sorted by the difference in correlation between two models.",
)
CORRELATIONS: Caption = (
    "Correlation of predicted and measured expression with 95 % interval over patients (Fig. 5 of "
    "Li 2022), with the q value that the gene is predicted at all.",
    "Correlations by gene and model with intervals.",
)

CLASS_TEXT = (
    "Recall is the share of a class that is recognized. It is what Li 2022 calls the accuracy of a "
    "tissue type. These intervals are not adjusted for the number of classes, and no test is made. "
    "An interval without width (all patches right, or none) only says that there was no error to "
    "resample: it is too short."
)
PATCH_TEXT = (
    "Patches as the networks see them, after standardizing, chosen at random; blank ones only "
    "where a class has few others."
)
FEATURE_TEXT = (
    "Maps distort distances and sizes; the numbers beside them are taken in the full, standardized "
    "feature space, leaving out the group of each patch. A set on which a network was tuned is "
    "shown on its test rows, a set of more than {most:,} patches on a random sample of them."
)
