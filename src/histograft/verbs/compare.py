"""Compare models on their predictions: metrics, clustered intervals, paired tests, multiplicity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from histograft.core.artefact import Artefact, Identity, claim, open_artefact
from histograft.core.configuration import Role, fields_with_role
from histograft.core.errors import InputError
from histograft.core.reporter import SILENT, Reporter
from histograft.core.seeds import generator
from histograft.core.tables import PREDICTIONS, RESULTS
from histograft.verbs.predict import TABLE as PREDICTIONS_TABLE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.bootstrap import BootstrapDraws

VERSION = 1
RESULTS_TABLE = "results.csv"
REPEATS_TABLE = "repeats.csv"
CONFUSION_TABLE = "confusion.csv"
COMPARISONS_TABLE = "comparisons.csv"
SHORTCUT_PREFIX = "shortcut-"
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
    import pandas as pd

    artefacts = [open_artefact(path, "predictions") for path in config.predictions]
    if not artefacts:
        raise InputError("no predictions are given", "give one or more predictions artefacts")
    settings = fields_with_role(config, Role.SETTING)
    settings.pop("seed")
    inputs = tuple(artefact.as_input("predictions") for artefact in artefacts)
    draft = claim(config.out, Identity("report", "compare", VERSION, settings, inputs, config.seed))
    if isinstance(draft, Artefact):
        reporter.note(f"the comparison is there already ({draft.path})")
        return draft
    labels = LABELS | dict(text.split("=", 1) for text in config.labels)
    with draft, reporter.task("bootstrap intervals and paired tests", len(artefacts)) as task:
        parts: dict[str, list[pd.DataFrame]] = {}
        for artefact in artefacts:
            block = _Block.of(artefact, config)
            for name, table in block.tables(config).items():
                parts.setdefault(name, []).append(table)
            task.advance(1, block.name)
        tables = {name: pd.concat(frames, ignore_index=True) for name, frames in parts.items()}
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
            "blocks": [artefact.facts for artefact in artefacts],
            "n_tests": int(tables[RESULTS_TABLE]["p_adjusted"].notna().sum()),
        }
        return draft.finish(facts)


@dataclass
class _Block:
    """The predictions of all models for one data set under one protocol."""

    name: str
    facts: dict[str, Any]
    models: list[str]
    classes: list[str]
    truth: NDArray[np.int64]  # (N,)
    predicted: NDArray[np.int64]  # (M, R, N)
    folds: NDArray[np.int64]  # (R, N)
    groups: NDArray[np.int64]  # (N,)
    draws: BootstrapDraws

    @classmethod
    def of(cls, artefact: Artefact, config: Compare) -> _Block:
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
                raise InputError(f"{artefact.path}: {model} predicts other units than {models[0]}")
            predicted[m] = rows["predicted"].map(position).to_numpy().reshape(n_repeats, n)
            folds[:] = rows["fold"].to_numpy().reshape(n_repeats, n)
        truth = first["truth"].map(position).to_numpy(dtype=np.int64)
        groups = pd.factorize(first["group"])[0]
        name = f"{artefact.facts['dataset']} ({artefact.facts['protocol']})"
        draws = cluster_bootstrap(
            truth, predicted, groups, classes,
            n_draws=config.draws, rng=generator(config.seed, "bootstrap", name),
        )  # fmt: skip
        return cls(name, artefact.facts, models, classes, truth, predicted, folds, groups, draws)

    def tables(self, config: Compare) -> dict[str, pd.DataFrame]:
        """All tables of this block, without the column ``label``."""
        import pandas as pd

        return {
            RESULTS_TABLE: pd.DataFrame(self._results(config)),
            COMPARISONS_TABLE: pd.DataFrame(self._comparisons(config), columns=COMPARISON_COLUMNS),
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

    def _results(self, config: Compare) -> Iterator[dict[str, Any]]:
        import numpy as np

        per_repeat = self._values()
        for m, model in enumerate(self.models):
            compared = config.baseline in self.models and model != config.baseline
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
                    "repeat_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                }
                empty = dict.fromkeys(COMPARED, None)
                yield row | (self._compared(model, config.baseline, metric) if compared else empty)

    def _compared(self, model: str, other: str, metric: str) -> dict[str, Any]:
        a, b = self.models.index(model), self.models.index(other)
        values = self._values()[metric]
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
        from histograft.stats.compare import corrected_resampled_t, mcnemar

        right = self.predicted == self.truth
        if self.facts["protocol"] == "external":
            only_a = int((right[a, 0] & ~right[b, 0]).sum())
            only_b = int((~right[a, 0] & right[b, 0]).sum())
            return "McNemar", mcnemar(only_a, only_b).p_value
        k = int(self.folds.max()) + 1
        n_test = len(self.truth) / k
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
        return ((right[a] - right[b])[:, None, :] * in_fold).sum(2) / in_fold.sum(2)

    def _comparisons(self, config: Compare) -> Iterator[dict[str, Any]]:
        from histograft.stats.compare import paired_t

        pairs = [
            (model, config.baseline)
            for model in self.models
            if model != config.baseline and not model.startswith(SHORTCUT_PREFIX)
        ]
        pairs += [tuple(text.split(":", 1)) for text in config.pairs]  # type: ignore[misc]
        for model, other in dict.fromkeys(pairs):
            if model not in self.models or other not in self.models:
                continue
            row = self._head(model) | {"metric": "accuracy"}
            yield row | self._compared(model, other, "accuracy")
            if config.plain_t and self.facts["protocol"] == "cv":
                values = self._values()["accuracy"]
                a, b = self.models.index(model), self.models.index(other)
                p = paired_t(values[a] - values[b]).p_value if values.shape[1] > 1 else None
                plain = {"test": "plain paired t over repeats (misleading)", "p_value": p}
                yield row | self._compared(model, other, "accuracy") | plain

    def _values(self) -> dict[str, NDArray[np.float64]]:
        """Each metric for each model and repeat, (M, R)."""
        from histograft.stats.metrics import confusion, evaluate

        if not hasattr(self, "_cached"):
            counts = confusion(self.truth, self.predicted, len(self.classes))
            self._counts, self._cached = counts, evaluate(counts, self.classes)
        return self._cached

    def _repeats(self) -> Iterator[dict[str, Any]]:
        for metric, values in self._values().items():
            for m, model in enumerate(self.models):
                for repeat, value in enumerate(values[m]):
                    head = self._head(model) | {"repeat": repeat, "metric": metric}
                    yield head | {"value": float(value)}

    def _confusion(self) -> Iterator[dict[str, Any]]:
        self._values()
        mean = self._counts.mean(axis=1)
        for m, model in enumerate(self.models):
            for i, truth in enumerate(self.classes):
                for j, predicted in enumerate(self.classes):
                    head = self._head(model) | {"truth": truth, "predicted": predicted}
                    yield head | {"count": float(mean[m, i, j])}


COMPARED = (
    "compared_with", "difference", "difference_low", "difference_high",
    "test", "p_value", "p_adjusted",
)  # fmt: skip
COMPARISON_COLUMNS = ["dataset", "protocol", "target", "model", "metric", *COMPARED]


def _adjust(results: pd.DataFrame, comparisons: pd.DataFrame) -> None:
    """Holm over all tests against the baseline; over all listed pairs in the second table."""
    from histograft.stats.compare import holm

    for table in (results, comparisons):
        p_values = table["p_value"].astype(float)
        honest = ~table["test"].astype("string").str.contains("misleading").fillna(value=False)
        table["p_adjusted"] = holm(p_values.where(honest).to_numpy())
