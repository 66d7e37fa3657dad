"""How well a network tells each class of its validation patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.learning.network import NetworkSpec


def class_measures(
    train_labels: NDArray[Any],
    val_labels: NDArray[Any],
    val_logits: NDArray[Any],
    spec: NetworkSpec,
) -> pd.DataFrame:
    """Tabulate recall, average precision and AUROC of each class, one against all others.

    Parameters
    ----------
    train_labels, val_labels : array
        Class indices (N,), or 0 and 1 (N, K).
    val_logits : array, shape (N, K)
        Of the validation patches.
    spec : NetworkSpec
        Class names and task.

    Returns
    -------
    DataFrame
        A row for each class: ``class``, ``n_train`` and ``n_val`` (patches that show it),
        ``recall`` (by the largest logit; of several labels by logits above 0),
        ``average_precision``, ``auroc`` (NaN where all validation patches or none show it).
    """
    import numpy as np
    import pandas as pd

    from histograft.stats.auc import auc, average_precision

    classes = np.arange(len(spec.classes))
    logits = np.asarray(val_logits, np.float64)
    if spec.task == "multilabel":
        trained, truth, called = train_labels > 0, val_labels > 0, logits > 0
        # The order of patches by σ(x) is that by x.
        scores = logits
    else:
        trained, truth = (labels[:, None] == classes for labels in (train_labels, val_labels))
        called = logits.argmax(axis=1)[:, None] == classes
        scores = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    rows = []
    for k, name in enumerate(spec.classes):
        shown = truth[:, k]
        judged = bool(shown.any() and not shown.all())
        rows.append(
            {
                "class": name,
                "n_train": int(trained[:, k].sum()),
                "n_val": int(shown.sum()),
                "recall": float(called[shown, k].mean()) if shown.any() else np.nan,
                "average_precision": float(average_precision(shown, scores[:, k]).value)
                if judged
                else np.nan,
                "auroc": float(auc(shown, scores[:, k])) if judged else np.nan,
            }
        )
    return pd.DataFrame(rows)
