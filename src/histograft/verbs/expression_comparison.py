"""Expression: which genes are predicted, how well, and which extractor predicts better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.seeds import generator
from histograft.verbs.comparison import (
    COMPARED,
    COMPARISON_COLUMNS,
    COMPARISONS_TABLE,
    REPEATS_TABLE,
    RESULTS_TABLE,
    Choices,
)
from histograft.verbs.molecular_work import site_of
from histograft.verbs.value_files import read_values

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.correlation_bootstrap import CorrelationIntervals
    from histograft.stats.correlation_jackknife import JackknifeIntervals
    from histograft.stats.permutation import PermutationTest

ALL_GENES = "all genes"
FDR = 0.05


@dataclass
class ExpressionComparison:
    """M models on the same N patients and G genes.

    Attributes
    ----------
    facts : dict
        Facts of the predictions artefact.
    models, genes : list of str
        Names, in order.
    truth : array of float64, shape (N, G)
        NaN where unknown.
    averaged : array of float64, shape (M, N, G)
        Predictions averaged over repeats; NaN in all of a gene that some model lacks in some
        repeat for some patient, so that all numbers are of the same patients.
    r_of_repeats : array of float64, shape (M, R, G)
        Correlation in each repeat; NaN likewise.
    sites : list of str or None
        Site of each patient, where patients are permuted within sites.
    choices : Choices
        Draws, seed, and how intervals and permutations are made.
    """

    facts: dict[str, Any]
    models: list[str]
    genes: list[str]
    truth: NDArray[np.float64]
    averaged: NDArray[np.float64]
    r_of_repeats: NDArray[np.float64]
    sites: list[str] | None
    choices: Choices

    @classmethod
    def of(cls, artefact: Artefact, choices: Choices) -> Self:
        """Read a predictions artefact; of repeats only their correlations are kept."""
        import numpy as np

        models = _read_models(artefact)
        first = next(iter(models.values()))
        for name, model in models.items():
            same_truth = np.array_equal(model.truth, first.truth, equal_nan=True)
            if model.genes != first.genes or not same_truth:
                raise InputError(
                    f"{artefact.path}: {name} predicts other patients or genes than "
                    f"{next(iter(models))}",
                    "predict all models together (histograft predict)",
                )
        averaged = np.stack([model.averaged for model in models.values()])
        r_of_repeats = np.stack([model.r for model in models.values()])
        gone = (np.isnan(averaged) & np.isfinite(first.truth)).any(axis=(0, 1))
        averaged[:, :, gone] = r_of_repeats[:, :, gone] = np.nan
        return cls(
            artefact.facts, list(models), first.genes, first.truth, averaged, r_of_repeats,
            _sites(first.units) if choices.permute_within == "site" else None, choices,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """Cohort and what is predicted, for people."""
        return f"{self.facts['dataset']} (expression)"

    @property
    def told(self) -> dict[str, Any]:
        """Facts that the comparison adds to those of the predictions."""
        facts: dict[str, Any] = {"intervals": self.choices.correlation_intervals}
        if self.sites is None:
            return facts
        counts = [self.sites.count(site) for site in dict.fromkeys(self.sites)]
        return facts | {
            "permuted_within": "site",
            "n_sites": len(counts),
            "n_alone_at_site": counts.count(1),
        }

    @property
    def warning(self) -> str:
        """What to tell the reader; empty where nothing is wrong."""
        return self._intervals.warning

    def tables(
        self, baseline: str, pairs: Sequence[tuple[str, str]], *, plain_t: bool
    ) -> dict[str, pd.DataFrame]:
        """Make the tables of this comparison, as `Comparison.tables` does.

        Correlations are those of predictions averaged over repeats, with a bootstrap over
        patients. Whether a gene is predicted at all is tested by permuting patients, at a false
        discovery rate over genes. Two extractors are compared over all genes, and over the genes
        that either of them predicts, by swapping them patient by patient. With `plain_t` the
        paper's own statistics over genes are added, which take genes for independent.
        """
        import pandas as pd

        return {
            RESULTS_TABLE: pd.DataFrame(self._results(baseline)),
            COMPARISONS_TABLE: pd.DataFrame(
                self._comparisons(baseline, pairs, plain_t=plain_t), columns=COMPARISON_COLUMNS
            ),
            REPEATS_TABLE: pd.DataFrame(self._repeats()),
        }

    @property
    def _cross_validated(self) -> bool:
        """Whether predictions depend on each other, which widens intervals and tests."""
        return bool(self.facts["protocol"] != "external")

    @cached_property
    def _intervals(self) -> CorrelationIntervals | JackknifeIntervals:
        import numpy as np

        from histograft.stats.correlation_bootstrap import correlation_bootstrap
        from histograft.stats.correlation_jackknife import correlation_jackknife

        patients = np.arange(len(self.truth))
        if self.choices.correlation_intervals == "jackknife":
            return correlation_jackknife(
                self.averaged, self.truth, patients, cross_validated=self._cross_validated
            )
        return correlation_bootstrap(
            self.averaged,
            self.truth,
            patients,
            n_draws=self.choices.draws,
            cross_validated=self._cross_validated,
            rng=generator(self.choices.seed, "bootstrap", self.name),
        )

    @cached_property
    def _permuted(self) -> PermutationTest:
        from histograft.stats.permutation import permutation_test

        return permutation_test(
            self.averaged,
            self.truth,
            within=self.sites,
            cross_validated=self._cross_validated,
            n_permutations=self.choices.draws,
            rng=generator(self.choices.seed, "permutation", self.name),
        )

    @cached_property
    def _q_values(self) -> NDArray[np.float64]:
        """Adjusted p values that a gene is predicted, (M, G); NaN where undefined."""
        import numpy as np

        from histograft.stats.compare import benjamini_hochberg

        return np.stack([benjamini_hochberg(p) for p in self._permuted.p_value])

    def _head(self, model: str, gene: str) -> dict[str, Any]:
        return {
            "dataset": self.facts["dataset"],
            "protocol": self.facts["protocol"],
            "target": gene,
            "model": model,
        }

    def _complete(self, row: dict[str, Any], n: int) -> dict[str, Any]:
        common = {"ci_low": None, "ci_high": None, "repeat_sd": None, "ci_unit": "patient"}
        return dict.fromkeys(COMPARED, None) | common | {"n_units": n, "n_groups": n} | row

    def _results(self, baseline: str) -> Iterator[dict[str, Any]]:
        import numpy as np

        from histograft.stats.correlation import correlate

        found = self._intervals
        spearman = correlate(self.averaged, self.truth, method="spearman")
        for m, model in enumerate(self.models):
            compared = baseline in self.models and model != baseline
            for g, gene in enumerate(self.genes):
                head, n = self._head(model, gene), int(np.isfinite(self.truth[:, g]).sum())
                row = head | {
                    "metric": "pearson",
                    "value": float(found.r[m, g]),
                    "ci_low": float(found.interval[0, m, g]),
                    "ci_high": float(found.interval[1, m, g]),
                    "repeat_sd": self._repeat_sd(m, g),
                }
                other = self._gene_difference(model, baseline, g) if compared else {}
                yield self._complete(row | other, n)
                for metric, value in {
                    "spearman": spearman.r[m, g],
                    "p_permutation": self._permuted.p_value[m, g],
                    "q_permutation": self._q_values[m, g],
                }.items():
                    yield self._complete(head | {"metric": metric, "value": float(value)}, n)
            yield from self._overall(m, model, baseline)

    def _repeat_sd(self, m: int, g: int) -> float | None:
        r = self.r_of_repeats[m, :, g]
        return float(r.std(ddof=1)) if len(r) > 1 else None

    def _overall(self, m: int, model: str, baseline: str) -> Iterator[dict[str, Any]]:
        """Over all genes: the mean correlation, and how many genes are predicted."""
        import numpy as np

        found = self._intervals
        low, high = found.mean_interval(m)
        head = self._head(model, ALL_GENES)
        row = head | {
            "metric": "mean_pearson",
            "value": _mean(found.r[m]),
            "ci_low": low,
            "ci_high": high,
        }
        compared = baseline in self.models and model != baseline
        other = self._mean_difference(model, baseline, None) if compared else {}
        yield self._complete(row | other, len(self.truth))
        counts = {
            "n_genes": int(np.isfinite(found.r[m]).sum()),
            "n_genes_predicted": int((self._q_values[m] < FDR).sum()),
            "n_genes_nominal": int(self._permuted.n_nominal[m]),
            "n_genes_nominal_by_chance": float(self._permuted.nominal_null[m].mean()),
        }
        for metric, value in counts.items():
            yield self._complete(head | {"metric": metric, "value": value}, len(self.truth))

    def _gene_difference(self, model: str, other: str, gene: int) -> dict[str, Any]:
        sign, at = self._pair(model, other)
        found = self._intervals
        low, high = sorted(sign * found.difference_interval[:, at, gene])
        return {
            "compared_with": other,
            "difference": float(sign * found.difference[at, gene]),
            "difference_low": float(low),
            "difference_high": float(high),
        }

    def _pair(self, model: str, other: str) -> tuple[int, int]:
        """Sign and position of a pair of models among the bootstrap's pairs."""
        a, b = self.models.index(model), self.models.index(other)
        pairs = self._intervals.pairs
        return (1, pairs.index((a, b))) if a < b else (-1, pairs.index((b, a)))

    def _mean_difference(self, model: str, other: str, fdr: float | None) -> dict[str, Any]:
        """Mean difference over genes, tested by swapping the extractors patient by patient."""
        from histograft.stats.gene_tests import swap_test

        a, b = self.models.index(model), self.models.index(other)
        result = swap_test(
            self.averaged[[a, b]],
            self.truth,
            fdr=fdr,
            cross_validated=self._cross_validated,
            n_swaps=self.choices.draws,
            rng=generator(self.choices.seed, "swaps", self.name, model, other, str(fdr)),
        )
        if not result.selected.any():  # nothing was tested, so nothing counts in corrections
            return {
                "compared_with": other,
                "difference": None,
                "test": "extractors swapped by patient",
                "p_value": None,
                "p_adjusted": None,
            }
        ends: dict[str, Any] = {}
        if fdr is None:
            low, high = self._intervals.mean_difference_interval(a, b)
            ends = {"difference_low": low, "difference_high": high}
        return {
            "compared_with": other,
            "difference": result.mean,
            **ends,
            "test": "extractors swapped by patient",
            "p_value": result.p_mean,
            "p_adjusted": None,
        }

    def _comparisons(
        self, baseline: str, pairs: Sequence[tuple[str, str]], *, plain_t: bool
    ) -> Iterator[dict[str, Any]]:
        usual = [(model, baseline) for model in self.models if model != baseline]
        for model, other in dict.fromkeys([*usual, *pairs]):
            if model not in self.models or other not in self.models:
                continue
            row = self._head(model, ALL_GENES) | {"metric": "mean_pearson"}
            yield row | self._mean_difference(model, other, None)
            predicted = self._head(model, f"genes predicted by either (FDR {FDR:g})")
            yield predicted | {"metric": "mean_pearson"} | self._mean_difference(model, other, FDR)
            if plain_t:
                yield from self._as_in_the_paper(model, other)

    def _as_in_the_paper(self, model: str, other: str) -> Iterator[dict[str, Any]]:
        from histograft.stats.gene_tests import gene_sign_test, gene_t_test

        sign, at = self._pair(model, other)
        differences = sign * self._intervals.difference[at]
        for test in (gene_t_test, gene_sign_test):
            result = test(differences)
            yield self._head(model, ALL_GENES) | {
                "metric": "mean_pearson",
                "compared_with": other,
                "difference": result.mean,
                "test": result.name,
                "p_value": result.p_value,
            }

    def _repeats(self) -> Iterator[dict[str, Any]]:
        """Mean correlation over genes in each repeat: a row a gene would be too many."""
        for model, r in zip(self.models, self.r_of_repeats, strict=True):
            for repeat, of_genes in enumerate(r):
                head = self._head(model, ALL_GENES)
                yield head | {"repeat": repeat, "metric": "mean_pearson", "value": _mean(of_genes)}


@dataclass(frozen=True)
class _Genes:
    """Some genes of one model; arrays as in `ExpressionComparison`, without its first axis."""

    units: list[str]
    genes: list[str]
    truth: NDArray[np.float64]
    averaged: NDArray[np.float64]
    r: NDArray[np.float64]


def _read_models(artefact: Artefact) -> dict[str, _Genes]:
    """Read predictions some genes at a time, and keep what does not grow with repeats × patients.

    A gene that is constant in some training fold has no prediction there: then it has none.
    """
    import numpy as np

    from histograft.stats.correlation import correlate

    found: dict[str, list[_Genes]] = {}
    for table in read_values(artefact):
        truth = table.truth.astype(np.float64)
        lacking = (np.isnan(table.predicted) & np.isfinite(truth)).any(axis=(0, 1))
        predicted = np.where(lacking, np.nan, table.predicted)
        averaged = predicted.mean(axis=0, dtype=np.float64)
        part = _Genes(table.units, table.targets, truth, averaged, correlate(predicted, truth).r)
        found.setdefault(table.model, []).append(part)
    return {
        model: _Genes(
            parts[0].units,
            [gene for part in parts for gene in part.genes],
            *(
                np.concatenate([getattr(part, name) for part in parts], axis=1)
                for name in ("truth", "averaged", "r")
            ),
        )
        for model, parts in found.items()
    }


def _sites(patients: Sequence[str]) -> list[str]:
    """Return where patients are from, by their TCGA barcodes."""
    return [site_of(patient, "--permute-within") for patient in patients]


def _mean(r: NDArray[np.float64]) -> float:
    """Mean over genes with a correlation; NaN without any."""
    import numpy as np

    known = r[np.isfinite(r)]
    return float(known.mean()) if len(known) else float("nan")
