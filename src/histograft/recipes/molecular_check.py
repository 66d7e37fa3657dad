"""What the FTX recipe will do with slides and molecular tables, and whether it can be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter, counted
from histograft.core.units import check_mpp
from histograft.verbs.embed import Embed
from histograft.verbs.molecular_targets import ALL, Targets, read_targets
from histograft.verbs.predict import Predict, tables_of
from histograft.verbs.slide_faults import named_faults
from histograft.verbs.slide_plan import TileRules
from histograft.verbs.slides import SlideEntry, read_slides, refuse_absent, without_patient
from histograft.verbs.stain_references import choose_reference
from histograft.verbs.unused_options import refuse_unused

if TYPE_CHECKING:
    from histograft.recipes.ftx import Ftx

# The paper's nine genes, wherever --genes says nothing.
MUTATION_GENES = "LUAD_NINE"
OF_MUTATIONS = ("sequenced", "variant_classes")
OF_SLIDES = ("stain_reference",)
OF_EXPRESSION = ("expression_genes", "n_genes", "orientation", "transform")
OTHER_STAIN = (
    "tiles of slides are normalized (--stain {stain}), patches are taken as they are: unless these "
    "were normalized likewise, as those of NCT-CRC-HE-100K are, the network sees other colors in "
    "slides than it was tuned on; then features mean less and the map of tissue is doubtful: give "
    "--stain none"
)
NO_PREDICTION = "take fewer folds, other genes, or more patients"


def check_molecular(config: Ftx, reporter: Reporter) -> None:
    """Read slides and molecular tables as the steps will, before hours of work.

    Parameters
    ----------
    config : Ftx
        Options of the recipe.
    reporter : Reporter
        Is told how many patients there are.

    Raises
    ------
    InputError
        Slides and tables are not there together, cannot be used, or share too few patients.
    """
    tables = [config.mutations, config.expression]
    if config.mutations is None and config.slides is not None:
        refuse_unused(config, OF_MUTATIONS, {}, "for --mutations")
    if config.expression is None:
        refuse_unused(config, OF_EXPRESSION, {}, "for --expression")
    if config.slides is None:
        if any(tables) or config.sequenced is not None:
            raise InputError(
                "--mutations and --expression need slides", "give --slides SLIDES.csv as well"
            )
        refuse_unused(config, OF_SLIDES, {}, "for --slides")
        return
    if not any(tables):
        raise InputError(
            "--slides alone predict nothing", "give --mutations MAF, --expression TABLE, or both"
        )
    tiles = embed_config(config, "slides", {"network": Path()})
    entries = read_slides(config.slides)
    _open_slides(entries, config.slides, tiles, reporter)
    if config.stain_reference is not None:
        choose_reference(
            config.stain_reference, config.stain_constants, entries, _rules(tiles), SILENT
        )
    patients = _patients(entries, config.slides, config.sample_types)
    if config.stain != "none":
        reporter.warn(OTHER_STAIN.format(stain=config.stain))
    for target in prediction_configs(config, (Path(),), Path()):
        targets = read_targets(tables_of(target), patients)
        _require_something(targets, target)
        n = len(targets.values)
        reporter.note(f"{targets.kind} of {n:,} of {counted(len(patients), 'patient')} with slides")
    if _draws_from_all(config) and config.genes not in (None, ALL):
        reporter.note(
            f"--genes {config.genes} is for mutations; the {config.n_genes:,} genes of expression "
            "are drawn from all (--expression-genes says otherwise)"
        )


def embed_config(config: Ftx, name: str, source: dict[str, Any]) -> Embed:
    """Return how slides are embedded by one extractor.

    Raises
    ------
    InputError
        No µm/px is stated for slides.
    """
    mpp = config.target_mpp
    if config.slide_mpp is not None:
        mpp = check_mpp(config.slide_mpp, "--slide-mpp")
    if mpp == "keep":
        raise InputError(
            "--target-mpp keep is for patches", "state the µm/px of the slides' tiles: --slide-mpp"
        )
    return Embed(
        config.slides,
        out=config.out / "slides" / name,
        name=name,
        target_mpp=float(mpp),
        tile_px=config.patch_px,
        stain=config.stain,
        stain_constants=config.stain_constants,
        stain_reference=config.stain_reference,
        upsample=config.upsample_slides,
        seed=config.seed,
        device=config.device,
        workers=config.workers,
        keep_going=config.keep_going,
        **source,
    )


def prediction_configs(config: Ftx, features: tuple[Path, ...], folder: Path) -> list[Predict]:
    """Return what is predicted of patients, into folders of that name."""
    common: dict[str, Any] = {
        "features": features, "folds": config.folds, "repeats": config.repeats,
        "seed": config.seed, "workers": config.workers, "sample_types": config.sample_types,
    }  # fmt: skip
    found = []
    if config.mutations is not None:
        found.append(
            Predict(
                mutations=config.mutations,
                sequenced=config.sequenced,
                variant_classes=config.variant_classes,
                sample_sheet=config.sample_sheet,
                genes=config.genes or MUTATION_GENES,
                lasso_rule=config.lasso_rule,
                out=folder / "mutation",
                **common,
            )
        )
    if config.expression is not None:
        # A folder of STAR files has a sheet of its own: that of the user is for the MAF then.
        folder_beside_maf = config.mutations is not None and config.expression.is_dir()
        found.append(
            Predict(
                expression=config.expression,
                genes=_expression_genes(config),
                n_genes=config.n_genes,
                sample_sheet=None if folder_beside_maf else config.sample_sheet,
                orientation=config.orientation,
                transform=config.transform,
                constant_columns=config.constant_columns,
                out=folder / "expression",
                **common,
            )
        )
    return found


def _expression_genes(config: Ftx) -> str:
    if config.expression_genes is not None:
        return config.expression_genes
    return ALL if _draws_from_all(config) else config.genes or ALL


def _draws_from_all(config: Ftx) -> bool:
    """Whether --genes are of mutations alone: a draw needs more genes than the few that matter."""
    both = config.mutations is not None and config.expression is not None
    return both and config.n_genes is not None and config.expression_genes is None


def _patients(
    entries: Sequence[SlideEntry], table: Path, sample_types: tuple[str, ...]
) -> list[str]:
    """Name the patients of slides as `histograft pool` will."""
    import pandas as pd

    from histograft.molecular.cohort import CohortRules, build_cohort

    if len(without_patient(entries)) == len(entries):
        raise InputError(
            f"{table}: no patient is stated of any slide", "add a column patient_id to the table"
        )
    slides = pd.DataFrame(
        {
            "slide_id": [entry.slide_id for entry in entries],
            "patient_id": [entry.patient_id or "" for entry in entries],
        }
    )
    cohort = build_cohort(slides, CohortRules(sample_types=sample_types), name=table.name)
    return sorted(set(cohort.slides["patient_id"]))


def _open_slides(
    entries: Sequence[SlideEntry], table: Path, tiles: Embed, reporter: Reporter
) -> None:
    """Open all slides, without a look at their tissue, and tell which can make no tiles."""
    faults: dict[str, InputError] = {}
    for entry in entries:
        try:
            refuse_absent(entry, table)
            _open_slide(entry, tiles)
        except InputError as error:
            faults[entry.slide_id] = error
    if not faults:
        return
    name, first = next(iter(faults.items()))
    if len(faults) == len(entries):
        raise InputError(f"no slide can be used, such as {name}: {first.problem}", first.fix)
    reporter.warn(
        f"{len(faults):,} of {counted(len(entries), 'slide')} cannot be used, such as {name}: "
        f"{first.problem}; to fix it: {first.fix} (`histograft doctor` tells of all)"
    )


def _open_slide(entry: SlideEntry, tiles: Embed) -> None:
    from histograft.imaging.slide import open_slide

    with named_faults(entry.path.name), open_slide(entry.path, mpp=entry.mpp) as slide:
        spec = slide.tile_spec(tiles.tile_px, tiles.target_mpp)
        if spec.is_upsampling and tiles.upsample == "error":
            raise InputError(
                f"{entry.path.name} has {slide.mpp0:g} µm/px, so tiles at {tiles.target_mpp:g} "
                "would be invented",
                f"give --slide-mpp {slide.mpp0:.3g} or more, or --upsample-slides allow",
            )


def _rules(tiles: Embed) -> TileRules:
    return TileRules(
        tiles.target_mpp, tiles.tile_px, tiles.overlap, tiles.least_tissue, tiles.upsample
    )


def _require_something(targets: Targets, config: Predict) -> None:
    """Refuse targets of which nothing can be predicted, even if all slides have tissue."""
    values = targets.values
    n = len(values)
    if n < config.folds:
        raise InputError(
            f"{n} patients have both slides and {targets.kind}, for {config.folds} folds",
            NO_PREDICTION,
        )
    if targets.kind == "expression":
        if not (values.max() > values.min()).any():
            raise InputError(f"no gene varies between the {n} patients", NO_PREDICTION)
        return
    rarer = [min(int((values[g] == 1).sum()), int((values[g] == 0).sum())) for g in values]
    if max(rarer, default=0) < config.folds:
        raise InputError(
            f"no gene has {config.folds} mutated and {config.folds} wild-type patients with "
            f"slides, which {config.folds} folds need (the best has {max(rarer, default=0)} of "
            "the rarer)",
            NO_PREDICTION,
        )
