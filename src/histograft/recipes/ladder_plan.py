"""What a ladder of scales consists of: its pieces, its trainings, its report."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.verbs.distill import Distill
from histograft.verbs.ladder import Ladder
from histograft.verbs.rescale import Rescale
from histograft.verbs.slide_samples import slide_table

if TYPE_CHECKING:
    from histograft.recipes.resolution_distillation import ResolutionDistillation


def levels_of(config: ResolutionDistillation, finest: float) -> list[Path]:
    """Folders of the labelled pieces, from the finest level to the coarsest."""
    return [config.out / "pieces" / f"{level:g}" for level in (finest, *sorted(config.ladder))]


def plan_ladder(config: ResolutionDistillation, finest: float) -> list[tuple[str, Any]]:
    """Every verb with its configuration, in order; the report is the last."""
    fine, *coarse = levels_of(config, finest)
    levels = (finest, *sorted(config.ladder))
    steps: list[tuple[str, Any]] = []
    sets = [(config.samples, config.out / "pieces")]
    names = [f"unlabelled-{i}" for i in range(1, len(config.unlabelled) + 1)]
    sets += [(s, config.out / n) for s, n in zip(config.unlabelled, names, strict=True)]
    for samples, folder in sets:
        for level in levels:
            made = rescaling(config, samples, folder / f"{level:g}", level, finest)
            steps.append(("rescale", made))
    for seed in range(config.seed, config.seed + config.seeds):
        options, folder = training_options(config, seed), config.out / "networks" / f"seed-{seed}"
        teacher = folder / "teacher"
        steps.append(("distill", Distill(fine, out=teacher, **options)))
        for pieces in coarse:
            at = folder / pieces.name
            steps.append(("distill", Distill(pieces, out=at / "baseline", **options)))
            pair = options | {"teacher": teacher, "fine": fine}
            steps.append(("distill", Distill(pieces, out=at / "kd", **pair)))
            for way in _ablated(config):
                single = pair | {"resize": way}
                steps.append(("distill", Distill(pieces, out=at / f"kd-{way}", **single)))
            for name, share in product(names, sorted(config.unlabelled_shares)):
                more: dict[str, Any] = {
                    "unlabelled": config.out / name / pieces.name,
                    "unlabelled_fine": config.out / name / fine.name,
                    "unlabelled_share": share,
                }
                student = at / (f"kd-{name}" if share == 1 else f"kd-{name}-{share:g}")
                steps.append(("distill", Distill(pieces, out=student, **pair, **more)))
                if config.fine_tune == "yes":
                    head = options | {"init": str(student), "tune": "head"}
                    tuned = at / f"{student.name}-tuned"
                    steps.append(("distill", Distill(pieces, out=tuned, **head)))
    return [*steps, ("ladder", report_of(config, steps, [fine, *coarse], ()))]


def _ablated(config: ResolutionDistillation) -> list[str]:
    """Ways of shrinking the teacher's map that are tried beside the one of all students."""
    ways = ("both", "max-pool", "bicubic") if config.ablate else ()
    return [way for way in ways if way != config.resize]


def rescaling(
    config: ResolutionDistillation,
    samples: Path,
    out: Path,
    level: float,
    finest: float | None = None,
) -> Rescale:
    """How the pieces of one set are made at one level."""
    least = config.least_tissue_mm2 if slide_table(samples) else Rescale.least_tissue_mm2
    return Rescale(
        samples,
        out=out,
        least_tissue_mm2=least,
        level=level,
        scale=config.scale,
        mpp=config.mpp,
        max_pixels=config.max_pixels,
        max_pixels_level=None if config.max_pixels is None else finest,
        split_column=config.split_column,
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        val_of_train=0.0 if samples in config.unlabelled else config.val_of_train,
        seed=config.seed,
        workers=config.workers,
    )


def training_options(config: ResolutionDistillation, seed: int) -> dict[str, Any]:
    """Options that every training of a ladder shares: no condition has a larger budget."""
    names = (
        "epochs", "arch", "norm_groups", "norm", "lr", "batch_size", "augment", "select", "judge",
        "temperature", "resize", "checkpointing", "precision", "device",
    )  # fmt: skip
    return {name: getattr(config, name) for name in names} | {"seed": seed}


def report_of(
    config: ResolutionDistillation,
    steps: list[tuple[str, Any]],
    levels: list[Path],
    commands: tuple[str, ...],
) -> Ladder:
    """How the report is made of the trainings among the steps."""
    made = [step for verb, step in steps if verb == "distill"]
    single = {f"kd-{way}" for way in _ablated(config)}
    return Ladder(
        networks=tuple(step.out for step in made if step.out.name not in single),
        ablation=tuple(step.out for step in made if step.out.name in single),
        patches=tuple(levels),
        unlabelled=tuple(dict.fromkeys(s.unlabelled for s in made if s.unlabelled is not None)),
        out=config.out / "report",
        margin=config.margin,
        draws=config.draws,
        published=config.published,
        title=config.title,
        commands=commands,
        seed=config.seed,
        device=config.device,
    )
