"""From features to claims: folds, probes, metrics, intervals, tests and leakage.

Public names load their module when they are first used, so importing the package is light.
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = {
    "bootstrap": ("BootstrapDraws", "cluster_bootstrap"),
    "compare": (
        "TestResult",
        "benjamini_hochberg",
        "corrected_resampled_t",
        "holm",
        "mcnemar",
        "paired_t",
    ),
    "crossval": ("predict_external", "predict_repeat"),
    "folds": ("FoldPlan", "plan_folds", "split_groups"),
    "lasso": ("RLasso",),
    "leakage": ("groups_across_splits", "near_duplicate_pairs", "overlap_share"),
    "linear_svc": ("LinearSVC",),
    "metrics": ("METRICS", "Metric", "confusion", "evaluate"),
    "probes": ("make_probe",),
    "projection": ("Projection", "knn_accuracy", "silhouette", "tsne"),
    "svr": ("RSVR", "svr_predict_many"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
