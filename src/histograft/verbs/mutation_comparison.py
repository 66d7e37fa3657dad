"""Mutation status: how well each gene is predicted, and which extractor does it better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.tables import PREDICTIONS
from histograft.verbs.comparison import (
    COMPARED,
    COMPARISON_COLUMNS,
    COMPARISONS_TABLE,
    REPEATS_TABLE,
    RESULTS_TABLE,
    Choices,
)
from histograft.verbs.molecular_work import MUTATED
from histograft.verbs.prediction_files import TABLE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.auc import DeLong

FEW_MUTATED = 20
CALIBRATION_TABLE = "calibration.csv"
# Of a bin of similar probabilities, and most bins.
LEAST_IN_BIN, MOST_BINS = 20, 10


@dataclass(frozen=True)
class GeneScores:
    """Predictions of one gene by M models in R repeats for N patients.

    Attributes
    ----------
    truth : array of bool, shape (N,)
        Whether the patient is mutated.
    scores : array of float64, shape (M, R, N)
        Predicted probability, out of fold.
    """

    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]

    @property
    def averaged(self) -> NDArray[np.float64]:
        """Probabilities averaged over repeats, (M, N)."""
        averaged: NDArray[np.float64] = self.scores.mean(axis=1)
        return averaged


@dataclass
class MutationComparison:
    """M models on the same patients, gene by gene.

    Attributes
    ----------
    facts : dict
        Facts of the predictions artefact.
    models : list of str
        Names, in order.
    genes : dict of str to GeneScores
        Predictions by gene.
    """

    facts: dict[str, Any]
    models: list[str]
    genes: dict[str, GeneScores]

    @classmethod
    def of(cls, artefact: Artefact, choices: Choices) -> Self:
        """Read a predictions artefact; nothing is drawn, as DeLong's intervals need no draws."""
        import pandas as pd

        del choices
        table = pd.read_parquet(artefact.file(TABLE))
        table = PREDICTIONS.check(table, f"{artefact.path.name}/{TABLE}")
        models = list(artefact.facts["models"])
        genes = {
            str(gene): _scores(rows, models, str(artefact.path))
            for gene, rows in table.groupby("target", sort=False, observed=True)
        }
        return cls(artefact.facts, models, genes)

    @property
    def name(self) -> str:
        """Cohort and what is predicted, for people."""
        return f"{self.facts['dataset']} (mutation)"

    @property
    def told(self) -> dict[str, Any]:
        """Facts that the comparison adds to those of the predictions."""
        return {}

    @property
    def warning(self) -> str:
        """What to tell the reader; empty where nothing is wrong."""
        few = [gene for gene, data in self.genes.items() if data.truth.sum() < FEW_MUTATED]
        if not few:
            return ""
        return (
            f"fewer than {FEW_MUTATED} patients are mutated in {', '.join(few)}: intervals there "
            "are approximate at best"
        )

    def tables(
        self, baseline: str, pairs: Sequence[tuple[str, str]], *, plain_t: bool
    ) -> dict[str, pd.DataFrame]:
        """Make the tables of this comparison, as `Comparison.tables` does.

        Areas are those of probabilities averaged over repeats, with DeLong's intervals over
        patients; the SD over repeats is split noise. With `plain_t` the paper's Wilcoxon test over
        the genes' areas is added.
        """
        import pandas as pd

        return {
            RESULTS_TABLE: pd.DataFrame(self._results(baseline)),
            COMPARISONS_TABLE: pd.DataFrame(
                self._comparisons(baseline, pairs, plain_t=plain_t), columns=COMPARISON_COLUMNS
            ),
            REPEATS_TABLE: pd.DataFrame(self._repeats()),
            CALIBRATION_TABLE: pd.DataFrame(self._calibration()),
        }

    @property
    def _cross_validated(self) -> bool:
        """Whether predictions depend on each other, which widens intervals and tests."""
        return bool(self.facts["protocol"] != "external")

    def _head(self, model: str, gene: str) -> dict[str, Any]:
        return {
            "dataset": self.facts["dataset"],
            "protocol": self.facts["protocol"],
            "target": gene,
            "model": model,
        }

    @cached_property
    def _areas(self) -> dict[str, DeLong]:
        from histograft.stats.auc import delong

        return {
            gene: delong(data.truth, data.averaged, cross_validated=self._cross_validated)
            for gene, data in self.genes.items()
        }

    def _results(self, baseline: str) -> Iterator[dict[str, Any]]:
        from histograft.stats.auc import auc

        for gene, data in self.genes.items():
            found = self._areas[gene]
            for m, model in enumerate(self.models):
                low, high = found.interval(m)
                by_repeat = auc(data.truth, data.scores[m])
                row = self._head(model, gene) | {
                    "metric": "auc",
                    "value": float(found.auc[m]),
                    "ci_low": low,
                    "ci_high": high,
                    "repeat_sd": float(by_repeat.std(ddof=1)) if len(by_repeat) > 1 else None,
                }
                compared = baseline in self.models and model != baseline
                other = self._compared(found, model, baseline) if compared else {}
                yield self._complete(row | other, data)
                further = _further_metrics(data, m) | self._null_models(model, gene)
                for metric, value in further.items():
                    yield self._complete(
                        self._head(model, gene) | {"metric": metric, "value": value}, data
                    )

    def _null_models(self, model: str, gene: str) -> dict[str, float]:
        """Fits in which the lasso chose no feature: all patients of a fold get one probability."""
        count = self.facts["null_models"][gene][model]
        if not isinstance(count, dict):
            raise InputError(
                f"predictions of {self.facts['dataset']} were made by an older version, which did "
                "not count repeats without any feature",
                "predict again (histograft predict)",
            )
        return {
            "null_model_share": count["null_fits"] / count["fits"],
            "null_repeats": float(count["null_repeats"]),
        }

    @staticmethod
    def _complete(row: dict[str, Any], data: GeneScores) -> dict[str, Any]:
        n = len(data.truth)
        common = {"ci_low": None, "ci_high": None, "repeat_sd": None, "ci_unit": "patient"}
        return dict.fromkeys(COMPARED, None) | common | {"n_units": n, "n_groups": n} | row

    def _compared(self, found: Any, model: str, other: str) -> dict[str, Any]:
        a, b = self.models.index(model), self.models.index(other)
        result = found.difference(a, b)
        low, high = found.difference_interval(a, b)
        return {
            "compared_with": other,
            "difference": result.mean,
            "difference_low": low,
            "difference_high": high,
            "test": result.name,
            "p_value": result.p_value,
            "p_adjusted": None,
        }

    def _comparisons(
        self, baseline: str, pairs: Sequence[tuple[str, str]], *, plain_t: bool
    ) -> Iterator[dict[str, Any]]:
        import numpy as np

        from histograft.stats.gene_tests import signed_rank

        usual = [(model, baseline) for model in self.models if model != baseline]
        for model, other in dict.fromkeys([*usual, *pairs]):
            if model not in self.models or other not in self.models:
                continue
            rows = [
                self._head(model, gene) | {"metric": "auc"} | self._compared(result, model, other)
                for gene, result in self._areas.items()
            ]
            yield from rows
            if plain_t:
                differences = np.array([row["difference"] for row in rows])
                result = signed_rank(differences)
                yield self._head(model, "all genes") | {
                    "metric": "auc",
                    "compared_with": other,
                    "difference": float(differences.mean()),
                    "test": result.name,
                    "p_value": result.p_value,
                }

    def _repeats(self) -> Iterator[dict[str, Any]]:
        from histograft.stats.auc import auc

        for gene, data in self.genes.items():
            for m, model in enumerate(self.models):
                for repeat, value in enumerate(auc(data.truth, data.scores[m])):
                    head = self._head(model, gene) | {"repeat": repeat, "metric": "auc"}
                    yield head | {"value": float(value)}

    def _calibration(self) -> Iterator[dict[str, Any]]:
        """Bins of patients with similar probabilities, and the share mutated in each."""
        from histograft.stats.calibration import reliability

        for gene, data in self.genes.items():
            n_bins = min(MOST_BINS, max(2, len(data.truth) // LEAST_IN_BIN))
            for m, model in enumerate(self.models):
                found = reliability(data.truth, data.averaged[m], n_bins=n_bins)
                for i in range(len(found.n_units)):
                    yield self._head(model, gene) | {
                        "bin": i,
                        "n_units": int(found.n_units[i]),
                        "mean_probability": float(found.mean_probability[i]),
                        "observed": float(found.observed[i]),
                        "low": float(found.low[i]),
                        "high": float(found.high[i]),
                    }


def _scores(rows: pd.DataFrame, models: Sequence[str], where: str) -> GeneScores:
    """Arrange the rows of one gene; all models must predict the same patients."""
    import numpy as np

    rows = rows.sort_values("repeat", kind="stable")
    n_repeats = int(rows["repeat"].max()) + 1
    first = rows[(rows["model"] == models[0]) & (rows["repeat"] == 0)]
    units = first["unit"].to_numpy()
    everybody = np.tile(units, n_repeats)
    scores = np.empty((len(models), n_repeats, len(units)))
    for m, model in enumerate(models):
        of_model = rows[rows["model"] == model]
        if len(of_model) != len(everybody) or (of_model["unit"].to_numpy() != everybody).any():
            raise InputError(
                f"{where}: {model} predicts other patients than {models[0]}",
                "predict all models together (histograft predict)",
            )
        scores[m] = of_model["score"].to_numpy().reshape(n_repeats, -1)
    return GeneScores((first["truth"] == MUTATED).to_numpy(bool), scores)


def _further_metrics(data: GeneScores, m: int) -> dict[str, float]:
    """Metrics beside the area, without intervals."""
    from histograft.stats.auc import average_precision
    from histograft.stats.calibration import calibration

    precision = average_precision(data.truth, data.averaged[[m]])
    fit = calibration(data.truth, data.averaged[m])
    return {
        "average_precision": float(precision.value[0]),
        "average_precision_no_skill": precision.no_skill,
        "brier": fit.brier,
        "calibration_slope": fit.slope,
        "calibration_in_the_large": fit.in_the_large,
    }
