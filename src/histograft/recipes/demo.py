"""The main job on a generated phantom cohort: nothing is needed but the installed package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from histograft.core.artefact import open_artefact
from histograft.core.configuration import Role, require_at_least
from histograft.core.reporter import SILENT, Reporter
from histograft.recipes.brief import BriefReporter
from histograft.recipes.ftx import Ftx, ftx
from histograft.recipes.phantom_check import right_tiles
from histograft.recipes.phantom_cohort import Cohort, write_cohort
from histograft.recipes.phantom_slides import PhantomSlides, write_slides
from histograft.recipes.steps import command_line
from histograft.verbs.report_answer import verdict
from histograft.verbs.report_material import Material

SYNTHETIC = (
    "The images are synthetic: phantoms of tissue drawn by histograft. No number on this page says "
    "anything about patients."
)
FOLDS = 5
LOG = "log.txt"
TITLE = "Demo on synthetic tissue: do tuned features beat the ones they came from?"


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Run the main job on a generated cohort of two laboratories, in under three minutes.

    Draws a phantom of H&E tissue in six classes from two laboratories with different stains,
    tunes a small network on patients of the first, and evaluates it on new patients of both. Then
    predicts expression and mutations of further patients from small slides, whose truth is known.
    Needs no data and no network access. The report says that all of it is synthetic. The terminal
    shows progress, warnings and the answer; what every step says is in OUT/log.txt.

    Attributes
    ----------
    out : Path
        Folder for everything; the report is OUT/report/index.html.
    init : str
        First weights: "random", or "imagenet" through timm, which needs network access once.
    arch : str
        timm name of the network.
    patients : int
        Patients to tune on, and again to evaluate on in each laboratory.
    slides : int
        Patients with a slide, whose expression and mutations are predicted: 20 by default, 60 with
        --full, 0 for none.
    full : bool
        Take more patients with slides and 50 repeats; some ten minutes.
    repeats : int
        Repeats of the cross-validation: 10 by default, 50 with --full.
    seed : int
        Seed of the cohort and of everything after it.
    workers : int
        Processes for images; all cores by default.
    device : str
        auto, cpu or cuda.
    verbose : bool
        Print all that the steps say, with their tables, instead of writing it to OUT/log.txt.
    """

    out: Annotated[Path, Role.OUTPUT]
    init: Literal["random", "imagenet"] = "random"
    arch: str = "resnet10t"
    patients: int = 12
    slides: int | None = None
    full: bool = False
    repeats: int | None = None
    seed: int = 0
    workers: Annotated[int | None, Role.EXECUTION] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"
    verbose: Annotated[bool, Role.EXECUTION] = False

    def __post_init__(self) -> None:
        require_at_least(self.patients, FOLDS, "patients")  # each fold tests a patient
        if self.n_slides:
            require_at_least(self.n_slides, 4 * FOLDS, "slides")  # some mutated in each fold
        require_at_least(self.n_repeats, 1, "repeats")
        require_at_least(self.seed, 0, "seed")

    @property
    def n_slides(self) -> int:
        """Patients with a slide."""
        if self.slides is not None:
            return self.slides
        return 60 if self.full else 20

    @property
    def n_repeats(self) -> int:
        """Repeats of the cross-validation."""
        if self.repeats is not None:
            return self.repeats
        return 50 if self.full else 10


PRESETS: dict[str, dict[str, Any]] = {"recommended": {}}


def demo(config: Demo, reporter: Reporter = SILENT) -> Path:
    """Run the demo.

    Parameters
    ----------
    config : Demo
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    pathlib.Path
        The report's page.
    """
    steps = reporter if config.verbose else BriefReporter(reporter, config.out / LOG)
    steps.warn(SYNTHETIC)
    folder, n, seed = config.out / "data", config.patients, config.seed
    tuned, *evaluated = (
        write_cohort(cohort, folder, config.workers, steps)
        for cohort in (
            Cohort("lab-a", "lab-a", n, 4, seed),
            Cohort("lab-a-new-patients", "lab-a", n, 2, seed),
            Cohort("lab-b", "lab-b", n, 2, seed),
        )
    )
    molecular: dict[str, Any] = {}
    notices: tuple[str, ...] = (SYNTHETIC,)
    files: PhantomSlides | None = None
    if config.n_slides:
        files = write_slides(folder, config.n_slides, seed, config.workers, steps)
        # Patches and slides are of one laboratory, and the network was tuned on unnormalized ones.
        molecular = files.as_options() | {"genes": "all", "stain": "none"}
        notices = (*notices, files.truth)
    recipe = Ftx(
        finetune=tuned,
        evaluate=tuple(evaluated),
        out=config.out,
        arch=config.arch,
        weights=config.init,
        target_mpp=1.0,
        patch_px=96,
        hidden=(256,),
        epochs_head=20,
        lr_head=1e-3,
        epochs_all=8,
        lr_all=1e-3,
        batch_size=32,
        augment="flips-turns",
        folds=FOLDS,
        repeats=config.n_repeats,
        title=TITLE,
        notices=notices,
        seed=config.seed,
        workers=config.workers,
        device=config.device,
        **molecular,
    )
    page = ftx(recipe, steps, made_by=command_line("demo", config, config.out))
    _tell_answer(config, reporter)
    if files is not None:
        n_right, n_tiles = right_tiles(config.out / "tissue", files.fields)
        reporter.note(files.truth)
        reporter.note(
            f"{n_right} of {n_tiles} tiles of these slides get the class of the tissue that was "
            "drawn there"
        )
    return page


def _tell_answer(config: Demo, reporter: Reporter) -> None:
    """Say what the page begins with, and where the rest is."""
    compared = Material.of([open_artefact(config.out / "tables")]).compared
    if compared is not None:
        sentence, lines = verdict(compared)
        for text in (sentence, *(f"- {line}" for line in lines)):
            reporter.note(text)
    if not config.verbose:
        reporter.note(f"what every step said is in {config.out / LOG}")
