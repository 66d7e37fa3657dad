"""Compare models on their predictions: metrics, clustered intervals, paired tests, multiplicity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from histograft.core.artefact import Artefact, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role, require_at_least
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.tables import RESULTS
from histograft.verbs.comparison import (
    COMPARISONS_TABLE,
    PLAIN_T,
    RESULTS_TABLE,
    Comparison,
)

if TYPE_CHECKING:
    import pandas as pd

VERSION = 1
SIGNIFICANT = 0.05

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
        Draws of the cluster bootstrap.
    plain_t : bool
        Also print the plain paired t test over repeats (as in Li 2022), which is misleading.
    seed : int
        Seed of the bootstrap.
    """

    predictions: Annotated[tuple[Path, ...], Role.INPUT]
    out: Annotated[Path, Role.OUTPUT]
    baseline: str = "imgnet-gap"
    pairs: tuple[str, ...] = ("ftx-dense:imgnet-dense", "ftx-gap:imgnet-gap")
    labels: tuple[str, ...] = ()
    draws: int = 10_000
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
        Of kind ``report``, with ``results.csv``, ``comparisons.csv``, ``repeats.csv`` and
        ``confusion.csv``.

    Raises
    ------
    InputError
        Predictions cannot be compared.
    ArtefactError
        The folder is taken, or cannot be written.
    """
    artefacts = [open_artefact(path, "predictions") for path in config.predictions]
    if not artefacts:
        raise InputError("no predictions are given", "give one or more predictions artefacts")
    _refuse_two_alike(artefacts)
    for artefact in artefacts:
        if config.baseline not in artefact.facts["models"]:
            reporter.warn(
                f"{artefact.facts['dataset']} ({artefact.facts['protocol']}) has no model "
                f"{config.baseline}, so nothing is compared with it; --baseline names another of "
                + ", ".join(artefact.facts["models"])
            )
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = tuple(artefact.as_input("predictions") for artefact in artefacts)
    draft = claim(config.out, Identity("report", "compare", VERSION, settings, inputs, config.seed))
    if isinstance(draft, Artefact):
        reporter.note(f"the comparison is there already ({draft.path})")
        return draft
    pairs = [(a, b) for a, _, b in (text.partition(":") for text in config.pairs)]
    labels = LABELS | dict(text.split("=", 1) for text in config.labels)
    with draft, reporter.task("bootstrap intervals and paired tests", len(artefacts)) as task:
        parts: dict[str, list[pd.DataFrame]] = {}
        warnings: list[str] = []
        for artefact in artefacts:
            block = Comparison.of(artefact, config.draws, config.seed)
            for name, table in block.tables(config.baseline, pairs, plain_t=config.plain_t).items():
                parts.setdefault(name, []).append(table)
            if block.draws.warning:
                reporter.warn(f"{block.name}: {block.draws.warning}")
            warnings.append(block.draws.warning)
            task.advance(1, block.name)
        tables = {name: _stacked(frames) for name, frames in parts.items()}
        _adjust(tables[RESULTS_TABLE], tables[COMPARISONS_TABLE])
        for table in tables.values():
            table.insert(3, "label", table["model"].map(lambda model: labels.get(model, model)))
        tables[RESULTS_TABLE] = RESULTS.check(tables[RESULTS_TABLE], RESULTS_TABLE)
        for name, table in tables.items():
            with draft.writing(name) as path:
                table.to_csv(path, index=False, float_format="%.10g")
        facts = {
            "baseline": config.baseline,
            "labels": {m: labels.get(m, m) for m in tables[RESULTS_TABLE]["model"].unique()},
            "blocks": [
                artefact.facts | {"warning": warning}
                for artefact, warning in zip(artefacts, warnings, strict=True)
            ],
            "n_tests": int(tables[COMPARISONS_TABLE]["p_adjusted"].notna().sum()),
        }
        reporter.table(*_summary(tables[RESULTS_TABLE]))
        _tell_pairs(tables[COMPARISONS_TABLE], reporter)
        return draft.finish(facts)


def _refuse_two_alike(artefacts: list[Artefact]) -> None:
    """Refuse two predictions whose rows could not be told apart in the tables."""
    found: dict[tuple[str, ...], Artefact] = {}
    for artefact in artefacts:
        what = tuple(str(artefact.facts[key]) for key in ("dataset", "protocol", "target"))
        if other := found.get(what):
            raise InputError(
                f"{other.path} and {artefact.path} are both predictions of {what[2]} in {what[0]} "
                f"({what[1]})",
                "compare them in two commands, or predict all models together",
            )
        found[what] = artefact


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Join tables row by row; `pandas.concat` warns where a column is empty in one of them."""
    import pandas as pd

    rows = [row for frame in frames for row in frame.to_dict("records")]
    return pd.DataFrame.from_records(rows, columns=frames[0].columns)


def _adjust(results: pd.DataFrame, comparisons: pd.DataFrame) -> None:
    """Adjust by Holm over all paired comparisons of the report, one family for both tables."""
    from histograft.stats.compare import holm

    honest = comparisons["test"] != PLAIN_T
    p_values = comparisons["p_value"].astype(float).where(honest)
    comparisons["p_adjusted"] = holm(p_values.to_numpy())
    key = ["dataset", "protocol", "model", "metric", "compared_with"]
    adjusted = comparisons[honest].set_index(key)["p_adjusted"]
    results["p_adjusted"] = [
        adjusted.get(row) for row in zip(*(results[k] for k in key), strict=True)
    ]


def _summary(results: pd.DataFrame) -> tuple[str, list[str], list[list[str]]]:
    """Accuracy of every model, as a table for the terminal."""
    rows = []
    for row in results[results["metric"] == "accuracy"].to_dict("records"):
        rows.append(
            [
                f"{row['dataset']} ({row['protocol']})",
                row["label"],
                f"{100 * row['value']:.1f} ({100 * row['ci_low']:.1f}–{100 * row['ci_high']:.1f})",
                row["ci_unit"],
            ]
        )
    columns = ["data set", "model", "accuracy, % (95 % interval)", "resampled"]
    return "Accuracy", columns, rows


def _tell_pairs(comparisons: pd.DataFrame, reporter: Reporter) -> None:
    rows = [
        [
            f"{row['dataset']} ({row['protocol']})",
            f"{row['model']} − {row['compared_with']}",
            f"{100 * row['difference']:+.1f} ({100 * row['difference_low']:+.1f} to "
            f"{100 * row['difference_high']:+.1f})",
            format_p(row["p_value"]),
            format_p(row["p_adjusted"]),
            str(row["test"]),
        ]
        for row in comparisons.to_dict("records")
    ]
    if not rows:
        return
    columns = ["data set", "models", "points (95 % interval)", "p", "p (Holm)", "test"]
    reporter.table("Paired comparisons of accuracy", columns, rows)
    if (comparisons["test"] == PLAIN_T).any():
        reporter.warn(
            "the plain paired t test (as in Li 2022) takes repeats over the same patches for "
            "independent samples; its p values are far too small and are shown to be seen as such"
        )


def format_p(p_value: float) -> str:
    """Write a p value for people, a dash for none.

    Examples
    --------
    >>> format_p(0.0421), format_p(2e-9), format_p(float("nan"))
    ('0.042', '<0.001', '–')
    """
    if p_value != p_value:
        return "–"
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
