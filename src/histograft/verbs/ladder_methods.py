"""Sentences for the methods section of an article, from what the networks say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from histograft.core.reporter import counted
from histograft.verbs.ladder_tables import BASELINE, STUDENT, STUDENT_AD, Judged, Rung
from histograft.verbs.ladder_told import pieces_tested, scale_name

if TYPE_CHECKING:
    from histograft.figures.page import Section

AUGMENTATIONS = {
    "none": "without augmentation",
    "flips": "with random flips",
    "jitter-flips": "with random color jitter and flips",
    "jitter-flips-turns": "with random color jitter, flips and quarter turns",
}
SHRUNK = {
    "both": "adaptive max-pooling and by bicubic interpolation, the mean of both",
    "max-pool": "adaptive max-pooling",
    "bicubic": "bicubic interpolation",
    "authors": "adaptive max-pooling, halved, as in the authors' code",
}
PACKAGES = ("histograft", "torch", "timm", "numpy", "scipy")


def methods_section(judged: Judged, margin: float, n_draws: int) -> Section:
    """Write what was done, to be taken over into an article.

    Parameters
    ----------
    judged : Judged
        The ladder.
    margin : float
        Loss that still counts as none.
    n_draws : int
        Bootstrap draws.
    """
    from histograft.figures.page import Section

    students = [rung for rung in judged.rungs if rung.condition in (STUDENT, STUDENT_AD)]
    text = [_trained(judged), *(_taught(students[:1])), _tested(judged, margin, n_draws)]
    return Section("Methods, in sentences", text=tuple(text))


def _trained(judged: Judged) -> str:
    config = judged.rungs[0].networks[0].manifest["config"]
    scales = list(dict.fromkeys(scale_name(rung) for rung in judged.rungs))
    first = ", ".join(scales[:-1])
    has_baselines = any(rung.condition == BASELINE for rung in judged.rungs)
    baselines = " and a baseline at each coarser scale" if has_baselines else ""
    return (
        f"Whole pieces were resampled from the native images by Lanczos to {first} and "
        f"{scales[-1]}. A teacher learned at {scales[0]}{baselines} (`{config.get('arch')}`, "
        f"{config.get('norm_groups')} groups of normalization) from random weights by "
        f"{str(config.get('optimizer')).capitalize()} (learning rate {config.get('lr')}, weight "
        f"decay {config.get('weight_decay')}) for at most {config.get('epochs')} epochs in steps "
        f"of {config.get('batch_size')} pieces, {AUGMENTATIONS.get(config.get('augment'), '')}; "
        f"{_kept(config)}. Each condition was trained from "
        f"{counted(len(judged.rungs[0].seeds), 'seed')}."
    )


def _kept(config: Mapping[str, Any]) -> str:
    if config.get("select") != "best":
        return "the last epoch was kept"
    judge = "macro F1" if config.get("judge") == "macro-f1" else "loss"
    return f"the epoch with the best {judge} on validation pieces was kept"


def _taught(students: list[Rung]) -> list[str]:
    if not students:
        return []
    config = students[0].networks[0].manifest["config"]
    return [
        "Students of the same architecture, drawn apart from their teachers, minimized "
        f"{config.get('soft_weight')} T² KL(teacher ‖ student) at temperature T = "
        f"{config.get('temperature')} plus {config.get('pixel_weight')} times the "
        f"{config.get('reduction')} squared difference of the last feature maps, the teacher's "
        f"shrunk by {SHRUNK.get(config.get('resize'), '')} (DiPalma et al. 2021, "
        "https://doi.org/10.1016/j.artmed.2021.102136), without labels."
    ]


def _tested(judged: Judged, margin: float, n_draws: int) -> str:
    packages = judged.rungs[0].networks[0].manifest.get("packages", {})
    versions = ", ".join(f"{name} {packages[name]}" for name in PACKAGES if name in packages)
    return (
        f"On {pieces_tested(judged, 'test piece')}, intervals are percentiles of {n_draws:,} "
        f"bootstrap draws of {judged.kind}s within classes. Non-inferiority to the teacher "
        f"(one-sided, 2.5 %, margin {100 * margin:g} points of top-1 accuracy, stated beforehand) "
        "and differences from the baseline (two-sided, over seeds and "
        f"{judged.kind}s) were adjusted by Holm's method. Software: {versions}."
    )
