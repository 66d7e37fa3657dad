"""Say how far the resolution can be lowered: the report of a ladder of scales."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Draft, Identity, make_once, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.verbs.ladder_ablation import ablation_table
from histograft.verbs.ladder_baselines import baseline_rows
from histograft.verbs.ladder_costs import COSTS, cost_table
from histograft.verbs.ladder_gains import gain_rows
from histograft.verbs.ladder_page import ladder_page
from histograft.verbs.ladder_paper import paper_sections, tables_as_printed, tell_tables
from histograft.verbs.ladder_results import RESULTS_FILE, results_table
from histograft.verbs.ladder_tables import (
    Rung,
    find_rungs,
    judge,
    ladder_table,
    teacher_rows,
)
from histograft.verbs.ladder_told import answer, coarsest
from histograft.verbs.ladder_views import views_section
from histograft.verbs.networks import load_network
from histograft.verbs.piece_pairs import Pieces
from histograft.verbs.report_sections import Sketch

if TYPE_CHECKING:
    import pandas as pd

VERSION = 5
PAGE = "index.html"
LADDER = "ladder.csv"
COMPARISONS = "comparisons.csv"
SIZES = "sizes.csv"
ABLATION = "ablation.csv"


@dataclass(frozen=True, kw_only=True)
class Ladder:
    """Compare students, baselines and teacher over scales, and say how low is still good enough.

    Attributes
    ----------
    networks : tuple of Path
        Network artefacts of `histograft distill`: teachers, baselines and students, each condition
        with the same seeds.
    ablation : tuple of Path
        Further students, distilled with other ways of shrinking the teacher's map: compared in a
        table of their own and no candidates for the answer.
    out : Path
        Folder of the report artefact; new or empty. Its page is index.html.
    patches : tuple of Path
        Patches artefacts of the levels, for sizes of pieces and their cost.
    unlabelled : tuple of Path
        Patches artefacts of the unlabelled pieces at the students' levels, to count their classes.
    margin : float
        Loss of top-1 accuracy that still counts as none, stated before results are seen.
    draws : int
        Bootstrap draws of patients.
    published : bool
        Also compute what the paper's tables call accuracy, to compare with them.
    repeats : int
        Timed passes for the milliseconds of a piece; 0: none.
    fields : int
        Test pieces on which the report shows what teacher and students look at; 0: none.
    title : str
        Heading of the report.
    commands : tuple of str
        Commands that made the results, to be printed on the page.
    seed : int
        Seed of the bootstrap draws.
    device : str
        Where passes are timed: auto, cpu or cuda.
    """

    networks: Annotated[tuple[Path, ...], Role.INPUT]
    ablation: Annotated[tuple[Path, ...], Role.INPUT] = ()
    out: Annotated[Path, Role.OUTPUT]
    patches: Annotated[tuple[Path, ...], Role.INPUT] = ()
    unlabelled: Annotated[tuple[Path, ...], Role.INPUT] = ()
    margin: float = 0.02
    draws: int = 10_000
    published: bool = False
    repeats: Annotated[int, Role.EXECUTION] = 3
    fields: int = 4
    title: str = "How far can the resolution be lowered?"
    commands: Annotated[tuple[str, ...], Role.EXECUTION] = ()
    seed: int = 0
    device: Annotated[Literal["auto", "cpu", "cuda"], Role.EXECUTION] = "auto"

    def __post_init__(self) -> None:
        require_at_least(self.draws, 100, "draws")
        require_at_least(self.repeats, 0, "repeats")
        require_at_least(self.fields, 0, "fields")
        require_at_least(self.seed, 0, "seed")
        if not 0 < self.margin < 1:
            raise InputError(
                f"--margin is {self.margin:g}",
                "give a share above 0 and below 1: 0.02 is a loss of 2 points",
            )


PRESETS: dict[str, dict[str, Any]] = {"paper": {"published": True}, "recommended": {}}


def ladder(config: Ladder, reporter: Reporter = SILENT) -> Artefact:
    """Make a report artefact.

    Parameters
    ----------
    config : Ladder
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``report``: ``index.html``, ``ladder.csv``, ``results.csv``, ``comparisons.csv``,
        ``costs.csv``, ``sizes.csv`` and ``figures/``.

    Raises
    ------
    InputError
        The networks are no ladder: no teacher, other seeds, other test pieces.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    import pandas as pd

    networks = [open_artefact(path, "network") for path in config.networks]
    ablation = [open_artefact(path, "network") for path in config.ablation]
    patches = [open_artefact(path, "patches") for path in config.patches]
    unlabelled = [open_artefact(path, "patches") for path in config.unlabelled]
    given = {"networks": networks, "ablation": ablation}
    given |= {"patches": patches, "unlabelled": unlabelled}
    inputs = tuple(
        artefact.as_input(role) for role, artefacts in given.items() for artefact in artefacts
    )
    settings = fields_with_role(config, Role.SETTING)
    identity = Identity("report", "ladder", VERSION, settings, inputs, config.seed)

    def work(draft: Draft) -> Artefact:
        rungs = find_rungs(networks)
        with reporter.task("draws and tests", 1) as task:
            judged = judge(
                rungs,
                margin=config.margin,
                n_draws=config.draws,
                published=config.published,
                seed=config.seed,
            )
            task.advance()
        costs = _costs(config, rungs, patches)
        compared = pd.DataFrame(
            teacher_rows(judged)
            + baseline_rows(judged, config.seed)
            + gain_rows(judged, config.seed)
        )
        tables = {LADDER: ladder_table(judged, costs), COMPARISONS: compared}
        tables |= {SIZES: _sizes(patches), COSTS: cost_table(costs, patches)}
        tables[RESULTS_FILE] = results_table(judged, tables[LADDER], compared)
        if ablation:
            tables[ABLATION] = ablation_table(rungs, ablation, config.seed)
        for name, table in tables.items():
            with draft.writing(name) as path:
                table.to_csv(path, index=False, float_format="%.10g")
        sketch = Sketch(draft, (), config.seed)
        views = views_section(judged, patches, config.fields, sketch, config.device)
        printed = tables_as_printed(judged, tables[SIZES], patches, unlabelled)
        of_paper = paper_sections(judged, printed)
        drawing = (sketch, views, *of_paper)
        page = ladder_page(config, judged, tables, costs, drawing, patches)
        draft.write_text(PAGE, page)
        tell_tables(judged, printed, reporter)
        sentence = answer(judged, costs)
        reporter.note(sentence)
        facts = {"title": config.title, "answer": sentence, "n_rungs": len(rungs)}
        found = coarsest(judged)
        facts["answer_network"] = None if found is None else found[0].networks[0].id
        return draft.finish(facts, fields_with_role(config, Role.EXECUTION))

    return make_once(config.out, identity, work, reporter)


def _costs(
    config: Ladder, rungs: list[Rung], patches: list[Artefact]
) -> dict[float, dict[str, float]]:
    """Cost of a test piece at each level; milliseconds are those of a piece of median size."""
    from histograft.learning.cost import measure

    found: dict[float, dict[str, float]] = {}
    for rung in rungs:
        if rung.level in found:
            continue
        ms = peak = float("nan")
        given = [p for p in patches if p.facts.get("level") == rung.level]
        if given and config.repeats:
            shape = _median_shape(given[0])
            network = load_network(rung.networks[0])
            measured = measure(network, shape, repeats=config.repeats, device=config.device)
            ms, peak = measured.ms, measured.peak_bytes / 1e6
        gmacs = float(rung.networks[0].facts["macs_per_piece"]) / 1e9
        found[rung.level] = {"gmacs": gmacs, "ms_per_piece": ms, "peak_mb": peak}
    return found


def _shapes(artefact: Artefact) -> pd.DataFrame:
    import pandas as pd

    from histograft.verbs.patch_images import load_patches

    rows = load_patches(artefact)
    pieces = Pieces(artefact, rows)
    shapes = [pieces.shape(i) for i in range(len(rows))]
    sizes = pd.DataFrame(shapes, columns=["height", "width"], index=rows.index)
    return sizes.assign(split=rows["split"], label=rows["label"])


def _median_shape(artefact: Artefact) -> tuple[int, int]:
    sizes = _shapes(artefact)
    sizes = sizes[sizes["split"] == "test"] if (sizes["split"] == "test").any() else sizes
    return int(sizes["height"].median()), int(sizes["width"].median())


def _sizes(patches: list[Artefact]) -> pd.DataFrame:
    """Sizes and counts of the pieces, as Tables 1 to 4 of the paper."""
    import pandas as pd

    rows = []
    for artefact in patches:
        sizes = _shapes(artefact)
        row: dict[str, Any] = {"dataset": artefact.facts["dataset"]}
        row["level"] = artefact.facts.get("level")
        for side in ("height", "width"):
            values = sizes[side]
            row |= {f"{side}_median": values.median(), f"{side}_max": values.max()}
            row |= {f"{side}_q1": values.quantile(0.25), f"{side}_q3": values.quantile(0.75)}
        named = sizes["split"] + ":" + sizes["label"]
        row |= {str(name): int(n) for name, n in named.value_counts(sort=False).items()}
        rows.append(row)
    return pd.DataFrame(rows)
