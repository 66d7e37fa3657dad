"""Compare models on their predictions: metrics, clustered intervals, paired tests, multiplicity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from histograft.core.artefact import Artefact, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.tables import RESULTS
from histograft.verbs.comparison import (
    COMPARISONS_TABLE,
    PLAIN_T,
    RESULTS_TABLE,
    Choices,
    Comparison,
    told_protocol,
)
from histograft.verbs.comparison_told import tell_accuracies, tell_pairs
from histograft.verbs.expression_comparison import ExpressionComparison
from histograft.verbs.molecular_told import tell_genes
from histograft.verbs.mutation_comparison import MutationComparison

if TYPE_CHECKING:
    import pandas as pd

VERSION = 2

LABELS = {
    "imgnet-gap": "IMGNET (pooled features)",
    "imgnet-dense": "IMGNET + tuned dense layer (step 1)",
    "imgnet-random": "IMGNET + untrained dense layer",
    "ftx-dense": "FTX (tuned, dense features)",
    "ftx-dense-pre": "FTX (tuned, dense before ReLU)",
    "ftx-gap": "FTX (tuned, pooled features)",
    "shortcut-rgb": "shortcut: mean RGB",
    "shortcut-histogram": "shortcut: color histogram",
    "shortcut-jpeg": "shortcut: JPEG tables",
}


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Compare models on their predictions.

    Attributes
    ----------
    predictions : tuple of Path
        Predictions artefacts; each data set and protocol is compared by itself, and Holm's
        correction runs over all of them.
    out : Path
        Folder of the report artefact that holds the tables; new or empty.
    baseline : str
        Model that the others are compared with.
    pairs : tuple of str
        Further comparisons, written model:other.
    labels : tuple of str
        What to call a model before people, written model=label.
    draws : int
        Draws of bootstraps, permutations and swaps.
    correlation_intervals : str
        Intervals of correlations with expression: "jackknife" over patients, or "bootstrap", whose
        percentile intervals are too short where values have heavy tails.
    permute_within : str
        "site": whether a gene is predicted is tested by exchanging patients of one TCGA site
        only, so that a difference between sites is not taken for a prediction.
    plain_t : bool
        Also print the plain paired t test over repeats (as in Li 2022), which is misleading.
    seed : int
        Seed of draws.
    """

    predictions: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    baseline: str = "imgnet-gap"
    pairs: tuple[str, ...] = ("ftx-dense:imgnet-dense", "ftx-gap:imgnet-gap")
    labels: tuple[str, ...] = ()
    draws: int = 10_000
    correlation_intervals: Literal["jackknife", "bootstrap"] = "jackknife"
    permute_within: Literal["site"] | None = None
    plain_t: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        require_at_least(self.seed, 0, "seed")
        if self.draws < 100:
            raise InputError(f"--draws {self.draws}", "give 100 or more; 10,000 is usual")
        for text, sign, name in (
            *((p, ":", "--pairs") for p in self.pairs),
            *((text, "=", "--labels") for text in self.labels),
        ):
            if text.count(sign) < 1:
                raise InputError(f"{name} {text!r} has no {sign!r}", f"write model{sign}…")


COMPARISONS: dict[str, Any] = {
    "class": Comparison,
    "mutation": MutationComparison,
    "expression": ExpressionComparison,
}
PRESETS: dict[str, dict[str, Any]] = {"paper": {"plain_t": True}, "recommended": {}}


def compare(config: Compare, reporter: Reporter = SILENT) -> Artefact:
    """Make a report artefact with the tables of a comparison.

    Parameters
    ----------
    config : Compare
        What to do.
    reporter : Reporter
        Whom to tell.

    Returns
    -------
    Artefact
        Of kind ``report``, with ``results.csv``, ``comparisons.csv``, ``repeats.csv``, and
        ``confusion.csv`` (of tissue types) or ``calibration.csv`` (of mutations).

    Raises
    ------
    InputError
        Predictions cannot be compared.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    artefacts = _opened(config, reporter)
    _check_options(config, artefacts)
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = tuple(artefact.as_input("predictions") for artefact in artefacts)
    draft = claim(config.out, Identity("report", "compare", VERSION, settings, inputs, config.seed))
    if isinstance(draft, Artefact):
        reporter.note(f"the comparison is there already ({draft.path})")
        return draft
    with draft:
        tables, blocks = _tables(config, artefacts, reporter)
        for name, table in tables.items():
            with draft.writing(name) as path:
                table.to_csv(path, index=False, float_format="%.10g")
        results, comparisons = tables[RESULTS_TABLE], tables[COMPARISONS_TABLE]
        tell_accuracies(results, reporter)
        labels = dict(zip(results["model"], results["label"], strict=True))
        tell_pairs(comparisons[comparisons["metric"] == "accuracy"], labels, reporter)
        tell_genes(results, comparisons, reporter)
        return draft.finish(
            {
                "baseline": config.baseline,
                "labels": labels,
                "blocks": blocks,
                "n_tests": int(comparisons["p_adjusted"].notna().sum()),
            }
        )


def _opened(config: Compare, reporter: Reporter) -> list[Artefact]:
    """Open the predictions; tell where there is no baseline."""
    artefacts = [open_artefact(path, "predictions") for path in config.predictions]
    if not artefacts:
        raise InputError("no predictions are given", "give one or more predictions artefacts")
    _refuse_two_alike(artefacts)
    for artefact in artefacts:
        models = artefact.facts["models"]
        if len(models) > 1 and config.baseline not in models:
            reporter.warn(
                f"{artefact.facts['dataset']} ({artefact.facts['protocol']}) has no model "
                f"{config.baseline}, so nothing is compared with it; --baseline names another of "
                + ", ".join(models)
            )
    return artefacts


def _tables(
    config: Compare, artefacts: list[Artefact], reporter: Reporter
) -> tuple[dict[str, pd.DataFrame], list[dict[str, Any]]]:
    """Compare within each artefact; all tables by file name, and facts on each artefact."""
    pairs = [(a, b) for a, _, b in (text.partition(":") for text in config.pairs)]
    labels = LABELS | dict(text.split("=", 1) for text in config.labels)
    parts: dict[str, list[pd.DataFrame]] = {}
    blocks: list[dict[str, Any]] = []
    choices = Choices(
        config.draws, config.seed, config.correlation_intervals, config.permute_within
    )
    with reporter.task("bootstrap intervals and paired tests", len(artefacts)) as task:
        for artefact in artefacts:
            kind = COMPARISONS[artefact.facts.get("task", "class")]
            block = kind.of(artefact, choices)
            protocol = told_protocol(artefact.facts)
            for name, table in block.tables(config.baseline, pairs, plain_t=config.plain_t).items():
                table = table.assign(family=_family(artefact), protocol=protocol)
                parts.setdefault(name, []).append(table)
            if block.warning:
                reporter.warn(f"{block.name}: {block.warning}")
            told = {"protocol": protocol, "warning": block.warning} | block.told
            blocks.append(artefact.facts | told)
            task.advance(1, block.name)
    tables = {name: _stacked(frames) for name, frames in parts.items()}
    _adjust(tables[RESULTS_TABLE], tables[COMPARISONS_TABLE])
    tables = {name: table.drop(columns="family") for name, table in tables.items()}
    for table in tables.values():
        table.insert(3, "label", table["model"].map(lambda model: labels.get(model, model)))
    tables[RESULTS_TABLE] = RESULTS.check(tables[RESULTS_TABLE], RESULTS_TABLE)
    return tables, blocks


def _check_options(config: Compare, artefacts: list[Artefact]) -> None:
    """Refuse options of expression where none was predicted."""
    if config.permute_within and all(a.facts.get("task") != "expression" for a in artefacts):
        raise InputError(
            f"--permute-within {config.permute_within} is for predictions of expression",
            "leave it out, or give such predictions",
        )


def _refuse_two_alike(artefacts: list[Artefact]) -> None:
    """Refuse two predictions whose rows could not be told apart in the tables."""
    found: dict[tuple[str, ...], Artefact] = {}
    for artefact in artefacts:
        facts = artefact.facts
        what = (str(facts["dataset"]), told_protocol(facts), str(facts["target"]))
        if other := found.get(what):
            raise InputError(
                f"{other.path} and {artefact.path} are both predictions of {what[2]} in {what[0]} "
                f"({what[1]})",
                "predict all models together, or give one of two cohorts another name (histograft "
                "predict --name)",
            )
        found[what] = artefact


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Join tables row by row; `pandas.concat` warns where a column is empty in one of them."""
    import pandas as pd

    rows = [row for frame in frames for row in frame.to_dict("records")]
    return pd.DataFrame.from_records(rows, columns=frames[0].columns)


def _family(artefact: Artefact) -> str:
    """Comparisons that are adjusted together: of tissue all, of molecules those of one cohort."""
    task = artefact.facts.get("task", "class")
    return "tissue" if task == "class" else f"{task} of {artefact.facts['dataset']}"


def _adjust(results: pd.DataFrame, comparisons: pd.DataFrame) -> None:
    """Adjust by Holm over the honest comparisons of each family, alike in both tables."""
    from histograft.stats.compare import holm
    from histograft.stats.gene_tests import NOT_INDEPENDENT

    tests = comparisons["test"].astype(str)
    dishonest = (tests == PLAIN_T) | tests.str.contains(NOT_INDEPENDENT, regex=False)
    p_values = comparisons["p_value"].astype(float).where(~dishonest)
    comparisons["p_adjusted"] = p_values.groupby(comparisons["family"]).transform(
        lambda family: holm(family.to_numpy())
    )
    key = ["dataset", "protocol", "target", "model", "metric", "compared_with"]
    adjusted = comparisons[~dishonest].set_index(key)["p_adjusted"]
    results["p_adjusted"] = [
        adjusted.get(row) for row in zip(*(results[k] for k in key), strict=True)
    ]
