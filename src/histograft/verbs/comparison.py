"""The predictions of all models for one data set under one protocol, compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.seeds import generator
from histograft.core.tables import PREDICTIONS
from histograft.verbs.prediction_files import TABLE as PREDICTIONS_TABLE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.bootstrap import BootstrapDraws

RESULTS_TABLE = "results.csv"
REPEATS_TABLE = "repeats.csv"
CONFUSION_TABLE = "confusion.csv"
COMPARISONS_TABLE = "comparisons.csv"
SHORTCUT_PREFIX = "shortcut-"
PLAIN_T = "plain paired t (misleading)"
COMPARED = (
    "compared_with", "difference", "difference_low", "difference_high",
    "test", "p_value", "p_adjusted",
)  # fmt: skip
COMPARISON_COLUMNS = ["dataset", "protocol", "target", "model", "metric", *COMPARED]


@dataclass(frozen=True)
class Choices:
    """How predictions are compared; which of it is used depends on what is predicted.

    Attributes
    ----------
    draws : int
        Draws of bootstraps, permutations and swaps.
    seed : int
        Root of their chance.
    correlation_intervals : {"jackknife", "bootstrap"}
        Intervals of correlations.
    permute_within : {"site"} or None
        Whom permutations exchange: patients of one site only, or all.
    """

    draws: int
    seed: int
    correlation_intervals: Literal["jackknife", "bootstrap"] = "jackknife"
    permute_within: Literal["site"] | None = None


def told_protocol(facts: dict[str, Any]) -> str:
    """Return the protocol of predictions; a test on other rows of the set fitted on is held out.

    Examples
    --------
    >>> told_protocol({"protocol": "external", "held_out": True})
    'held-out'
    """
    # Artefacts of patches that do not say so yet tell it by the names of the sets.
    same = facts.get("task", "class") == "class" and facts.get("fit_on") == facts.get("dataset", "")
    return "held-out" if facts.get("held_out", same) else str(facts["protocol"])


@dataclass
class Comparison:
    """M models on the same N units, over R repeats of K folds.

    Attributes
    ----------
    facts : dict
        Facts of the predictions artefact.
    models, classes : list of str
        Names, in order.
    truth : array of int64, shape (N,)
        Index of each unit's class.
    predicted : array of int64, shape (M, R, N)
        Index of the predicted class.
    folds : array of int64, shape (R, N)
        Fold in which each unit was tested.
    groups : array of int64, shape (N,)
        What is resampled.
    draws : BootstrapDraws
        Paired bootstrap of all metrics.
    """

    facts: dict[str, Any]
    models: list[str]
    classes: list[str]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    folds: NDArray[np.int64]
    groups: NDArray[np.int64]
    draws: BootstrapDraws

    @classmethod
    def of(cls, artefact: Artefact, choices: Choices) -> Self:
        """Read a predictions artefact and draw the bootstrap."""
        import numpy as np
        import pandas as pd

        from histograft.stats.bootstrap import cluster_bootstrap

        table = pd.read_parquet(artefact.file(PREDICTIONS_TABLE))
        table = PREDICTIONS.check(table, f"{artefact.path.name}/{PREDICTIONS_TABLE}")
        classes = list(artefact.facts["classes"])
        models = list(artefact.facts["models"])
        first = table[(table["model"] == models[0]) & (table["repeat"] == 0)]
        position = {name: i for i, name in enumerate(classes)}
        n, n_repeats = len(first), int(table["repeat"].max()) + 1
        predicted = np.empty((len(models), n_repeats, n), dtype=np.int64)
        folds = np.empty((n_repeats, n), dtype=np.int64)
        for m, model in enumerate(models):
            rows = table[table["model"] == model]
            if len(rows) != n * n_repeats or (rows["unit"].to_numpy()[:n] != first["unit"]).any():
                raise InputError(
                    f"{artefact.path}: {model} predicts other units than {models[0]}",
                    "predict all models together (histograft predict)",
                )
            predicted[m] = rows["predicted"].map(position).to_numpy().reshape(n_repeats, n)
            folds[:] = rows["fold"].to_numpy().reshape(n_repeats, n)
        truth = first["truth"].map(position).to_numpy(dtype=np.int64)
        groups = pd.factorize(first["group"])[0]
        name = f"{artefact.facts['dataset']} ({artefact.facts['protocol']})"
        draws = cluster_bootstrap(
            truth, predicted, groups, classes,
            n_draws=choices.draws, rng=generator(choices.seed, "bootstrap", name),
        )  # fmt: skip
        return cls(artefact.facts, models, classes, truth, predicted, folds, groups, draws)

    @property
    def name(self) -> str:
        """Data set and protocol, for people."""
        return f"{self.facts['dataset']} ({self.facts['protocol']})"

    @property
    def told(self) -> dict[str, Any]:
        """Facts that the comparison adds to those of the predictions."""
        return {}

    @property
    def warning(self) -> str:
        """What to tell the reader of the intervals; empty where nothing is wrong."""
        return self.draws.warning

    def tables(
        self, baseline: str, pairs: Sequence[tuple[str, str]], *, plain_t: bool
    ) -> dict[str, pd.DataFrame]:
        """Make the tables of this comparison.

        Parameters
        ----------
        baseline : str
            Model that every other is compared with.
        pairs : sequence of (str, str)
            Further comparisons, passed over where a model is not there.
        plain_t : bool
            Add the plain paired t test over repeats, which takes repeats for new data.

        Returns
        -------
        dict of str to pandas.DataFrame
            By file name; without the columns ``label`` and with ``p_adjusted`` empty.
        """
        import pandas as pd

        return {
            RESULTS_TABLE: pd.DataFrame(self._results(baseline)),
            COMPARISONS_TABLE: pd.DataFrame(
                self._comparisons(baseline, pairs, plain_t=plain_t), columns=COMPARISON_COLUMNS
            ),
            REPEATS_TABLE: pd.DataFrame(self._repeats()),
            CONFUSION_TABLE: pd.DataFrame(self._confusion()),
        }

    def _head(self, model: str) -> dict[str, Any]:
        return {
            "dataset": self.facts["dataset"],
            "protocol": self.facts["protocol"],
            "target": self.facts["target"],
            "model": model,
        }

    def _results(self, baseline: str) -> Iterator[dict[str, Any]]:
        import numpy as np

        per_repeat = self._values
        for m, model in enumerate(self.models):
            compared = baseline in self.models and model != baseline
            for metric in self.draws.metrics:
                low, high = self.draws.interval(m, metric)
                values = per_repeat[metric][m]
                row = self._head(model) | {
                    "metric": metric,
                    "value": float(np.mean(values)),
                    "ci_low": low,
                    "ci_high": high,
                    "ci_unit": self.facts["ci_unit"],
                    "n_units": len(self.truth),
                    "n_groups": int(self.groups.max()) + 1,
                    "repeat_sd": _spread(values) if len(values) > 1 else None,
                }
                empty = dict.fromkeys(COMPARED, None)
                yield row | (self._compared(model, baseline, metric) if compared else empty)

    def _compared(self, model: str, other: str, metric: str) -> dict[str, Any]:
        a, b = self.models.index(model), self.models.index(other)
        values = self._values[metric]
        low, high = self.draws.difference_interval(a, b, metric)
        # Shortcut baselines are there to be seen, not to be tested.
        tested = metric == "accuracy" and not model.startswith(SHORTCUT_PREFIX)
        test, p = self._test(a, b) if tested else (None, None)
        return {
            "compared_with": other,
            "difference": float(values[a].mean() - values[b].mean()),
            "difference_low": low,
            "difference_high": high,
            "test": test,
            "p_value": p,
            "p_adjusted": None,
        }

    def _test(self, a: int, b: int) -> tuple[str, float]:
        import numpy as np

        from histograft.stats.compare import corrected_resampled_t, group_sign_flip, mcnemar

        right = self.predicted == self.truth
        if self.facts["protocol"] == "external":
            n_groups = int(self.groups.max()) + 1
            if n_groups < len(self.groups):  # cases of one group are not independent
                change = right[a, 0].astype(np.int64) - right[b, 0]
                sums = np.bincount(self.groups, weights=change, minlength=n_groups)
                rng = generator(0, "sign flips", self.name, self.models[a], self.models[b])
                return "sign flips over groups", group_sign_flip(sums, rng=rng).p_value
            only_a = int((right[a, 0] & ~right[b, 0]).sum())
            only_b = int((~right[a, 0] & right[b, 0]).sum())
            return "McNemar", mcnemar(only_a, only_b).p_value
        k = int(self.folds.max()) + 1
        n_test = round(len(self.truth) / k)
        result = corrected_resampled_t(
            self._fold_differences(a, b), len(self.truth) - n_test, n_test
        )
        return "corrected resampled t", result.p_value

    def _fold_differences(self, a: int, b: int) -> NDArray[np.float64]:
        """Accuracy of a minus that of b in each fold of each repeat, (R, K)."""
        import numpy as np

        right = (self.predicted == self.truth).astype(np.float64)
        k = int(self.folds.max()) + 1
        in_fold = self.folds[:, None, :] == np.arange(k)[:, None]
        differences: NDArray[np.float64] = (right[a] - right[b])[:, None, :] * in_fold
        return np.asarray(differences.sum(2) / in_fold.sum(2))

    def _comparisons(
        self, baseline: str, pairs: Sequence[tuple[str, str]], *, plain_t: bool
    ) -> Iterator[dict[str, Any]]:
        from histograft.stats.compare import paired_t

        usual = [
            (model, baseline)
            for model in self.models
            if model != baseline and not model.startswith(SHORTCUT_PREFIX)
        ]
        for model, other in dict.fromkeys([*usual, *pairs]):
            if model not in self.models or other not in self.models:
                continue
            row = self._head(model) | {"metric": "accuracy"}
            yield row | self._compared(model, other, "accuracy")
            if plain_t and self.facts["protocol"] == "cv":
                values = self._values["accuracy"]
                a, b = self.models.index(model), self.models.index(other)
                p = paired_t(values[a] - values[b]).p_value if values.shape[1] > 1 else None
                plain = {"test": PLAIN_T, "p_value": p}
                yield row | self._compared(model, other, "accuracy") | plain

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        """Confusion matrices, (M, R, K, K)."""
        from histograft.stats.metrics import confusion

        counts: NDArray[np.int64] = confusion(self.truth, self.predicted, len(self.classes))
        return counts

    @cached_property
    def _values(self) -> dict[str, NDArray[np.float64]]:
        """Each metric for each model and repeat, (M, R)."""
        from histograft.stats.metrics import evaluate

        values: dict[str, NDArray[np.float64]] = evaluate(self._counts, self.classes)
        return values

    def _repeats(self) -> Iterator[dict[str, Any]]:
        for metric, values in self._values.items():
            for m, model in enumerate(self.models):
                for repeat, value in enumerate(values[m]):
                    head = self._head(model) | {"repeat": repeat, "metric": metric}
                    yield head | {"value": float(value)}

    def _confusion(self) -> Iterator[dict[str, Any]]:
        mean = self._counts.mean(axis=1)
        for m, model in enumerate(self.models):
            for i, truth in enumerate(self.classes):
                for j, predicted in enumerate(self.classes):
                    head = self._head(model) | {"truth": truth, "predicted": predicted}
                    yield head | {"count": float(mean[m, i, j])}


def _spread(values: NDArray[np.float64]) -> float:
    """Sample standard deviation; what is only rounding counts as none."""
    return round(float(values.std(ddof=1)), 12)
