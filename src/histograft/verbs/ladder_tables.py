"""The numbers of a ladder of scales: every condition at every scale, and what it loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.core.seeds import generator
from histograft.verbs.distilling import SCORES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.bootstrap import BootstrapDraws
    from histograft.stats.noninferiority import NonInferiority

HEADLINE = "accuracy_top1"
TEACHER, BASELINE, STUDENT, STUDENT_AD = "teacher", "baseline", "kd", "kd-ad"
KEYS = ["mpp", "condition", "n_unlabelled", "fine_tuned"]


@dataclass(frozen=True)
class Rung:
    """One condition at one scale, trained once for each seed.

    Attributes
    ----------
    level : float
        µm/px, or a factor.
    condition : {"teacher", "baseline", "kd", "kd-ad"}
        How it was trained.
    n_unlabelled : int
        Unlabelled pieces that it learned from.
    fine_tuned : bool
        Whether its head was tuned on labels afterwards.
    networks : tuple of Artefact
        In the order of their seeds.
    """

    level: float
    condition: str
    n_unlabelled: int
    fine_tuned: bool
    networks: tuple[Artefact, ...]

    @property
    def key(self) -> tuple[float, str, int, bool]:
        """What `KEYS` hold in tables."""
        return self.level, self.condition, self.n_unlabelled, self.fine_tuned

    @property
    def seeds(self) -> list[int]:
        """Seeds of the networks."""
        return [int(network.manifest["seed"]) for network in self.networks]


@dataclass(frozen=True)
class Judged:
    """A ladder that was evaluated.

    Attributes
    ----------
    rungs : list of Rung
        The teacher first.
    draws : BootstrapDraws
        Of all rungs, by group.
    tests : dict of int to NonInferiority
        For each rung but the teacher, after Holm over all of them: for new patients, and these
        networks.
    kind : str
        What was resampled: "group", "slide" where patients are unknown, or "piece" where slides
        are too.
    n_groups : int
        Of the test pieces.
    n_independent : float
        How many independent pieces would tell as much.
    of_units : dict of str to BootstrapDraws
        The same where a "slide" or a "group", such as a patient, is decided by the mean over its
        pieces; without those that are unknown.
    mixed : dict of str to int
        How many slides or groups have several classes; they are left out there.
    anew : dict of int to NonInferiority
        As `tests`, for new seeds too; empty for one seed or one group.
    """

    rungs: list[Rung]
    draws: BootstrapDraws
    tests: dict[int, NonInferiority]
    kind: str
    n_groups: int
    n_independent: float
    of_units: dict[str, BootstrapDraws] = field(default_factory=dict)
    mixed: dict[str, int] = field(default_factory=dict)
    anew: dict[int, NonInferiority] = field(default_factory=dict)


def find_rungs(networks: Sequence[Artefact]) -> list[Rung]:
    """Sort networks of `distill` into conditions and scales.

    Raises
    ------
    InputError
        A network is not of `distill`; there is not one teacher a seed; seeds are missing.
    """
    by_id = {network.id: network for network in networks}
    taught_by = {_input(network, "teacher") for network in networks} - {None}
    groups: dict[tuple[float, str, int, bool], list[Artefact]] = {}
    for network in networks:
        if network.manifest["verb"] != "distill":
            raise InputError(f"{network.path} was not made by distill", "give distilled networks")
        groups.setdefault(_key(network, by_id, taught_by), []).append(network)
    rungs = [
        Rung(*key, tuple(sorted(found, key=lambda n: int(n.manifest["seed"]))))
        for key, found in sorted(groups.items(), key=lambda item: _order(item[0]))
    ]
    if sum(rung.condition == TEACHER for rung in rungs) != 1:
        raise InputError(
            "the networks have no teacher of one scale in common",
            "give the teachers, one for each seed, and their students",
        )
    for rung in rungs:
        if rung.seeds != rungs[0].seeds:
            raise InputError(
                f"{rung.condition} at {rung.level:g} has the seeds {rung.seeds}, the teacher "
                f"{rungs[0].seeds}",
                "train every condition with the same seeds, once each",
            )
    return rungs


def _order(key: tuple[float, str, int, bool]) -> tuple[Any, ...]:
    conditions = (TEACHER, BASELINE, STUDENT, STUDENT_AD)
    return (key[1] != TEACHER, key[0], conditions.index(key[1]), *key[2:])


def _input(network: Artefact, role: str) -> str | None:
    found = [i for i in network.manifest["inputs"] if i["role"] == role]
    return str(found[0]["id"]) if found else None


def _key(
    network: Artefact, by_id: dict[str, Artefact], taught_by: set[str | None]
) -> tuple[float, str, int, bool]:
    level = float(network.facts["level"])
    start = _input(network, "start")
    if start in by_id:  # fine-tuned: of the condition that it began as
        of_start = _key(by_id[start], by_id, taught_by)
        return level, of_start[1], of_start[2], True
    n_unlabelled = int(network.facts["n_unlabelled"])
    if network.id in taught_by:
        return level, TEACHER, 0, False
    if _input(network, "teacher") is None:
        return level, BASELINE, 0, False
    return level, STUDENT_AD if n_unlabelled else STUDENT, n_unlabelled, False


def judge(
    rungs: Sequence[Rung], *, margin: float, n_draws: int, published: bool, seed: int
) -> Judged:
    """Evaluate all rungs on the test pieces, with draws that are the same for all.

    Parameters
    ----------
    rungs : sequence of Rung
        Of `find_rungs`.
    margin : float
        Loss of top-1 accuracy that still counts as none.
    n_draws : int
        Bootstrap draws.
    published : bool
        Whether the paper's "accuracy" is computed too.
    seed : int
        Of the draws.
    """
    from histograft.stats.noninferiority import effective_units, noninferiority, over_scales
    from histograft.stats.piece_levels import unit_means
    from histograft.stats.rd_bootstrap import rd_bootstrap
    from histograft.stats.rd_metrics import PAPER_METRICS, RD_METRICS

    truth, probabilities, groups, kind = stacked_scores(rungs)
    metrics = PAPER_METRICS if published else RD_METRICS
    draws = rd_bootstrap(
        truth,
        probabilities,
        groups,
        metrics=metrics,
        n_draws=n_draws,
        rng=generator(seed, "ladder"),
    )
    n = effective_units((probabilities[0].argmax(-1) == truth).mean(0), groups)
    results = [
        noninferiority(draws, i, 0, HEADLINE, margin=margin, n_independent=n)
        for i in range(1, len(rungs))
    ]
    tests = dict(enumerate(over_scales(results), start=1))
    anew = _trained_anew(truth, probabilities, groups, margin, n)
    judged = Judged(list(rungs), draws, tests, kind, draws.n_groups, n, anew=anew)
    for unit, names in larger_units(rungs, groups, kind).items():
        units = unit_means(truth, probabilities, names)
        judged.mixed[unit] = len(units.mixed)
        if not units.names:
            continue
        group_of = dict(zip(names, groups, strict=True))
        judged.of_units[unit] = rd_bootstrap(
            units.truth,
            units.probabilities,
            [group_of[name] for name in units.names],
            metrics=metrics,
            n_draws=n_draws,
            rng=generator(seed, f"ladder of {unit}s"),
        )
    return judged


def _trained_anew(
    truth: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    groups: list[str],
    margin: float,
    n_independent: float,
) -> dict[int, NonInferiority]:
    """Test against the teacher where both are trained from new seeds; the first is the teacher."""
    import numpy as np

    from histograft.stats.crossed import mean_metric
    from histograft.stats.noninferiority import noninferiority_of_trainings, over_scales

    index = np.unique(groups, return_inverse=True)[1]
    if probabilities.shape[1] < 2 or index.max() < 1:
        return {}
    right = probabilities.argmax(-1) == truth
    teacher, *others = (mean_metric(of_rung, index) for of_rung in right)
    results = [
        noninferiority_of_trainings(
            other, teacher, HEADLINE, margin=margin, n_independent=n_independent
        )
        for other in others
    ]
    return dict(enumerate(over_scales(results), start=1))


def larger_units(rungs: Sequence[Rung], groups: list[str], kind: str) -> dict[str, list[str]]:
    """Return the slide and the group of each test piece, where they are known of all."""
    found = {}
    table = test_scores(rungs[0].networks[0])
    if "slide_id" in table and table["slide_id"].notna().all():
        found["slide"] = [str(name) for name in table["slide_id"]]
    if kind != "piece":
        found.setdefault(kind, groups)
    return found


def stacked_scores(
    rungs: Sequence[Rung],
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str], str]:
    """Return truth (N,), probabilities (M, R, N, K) and groups of the test pieces, aligned.

    Raises
    ------
    InputError
        Networks were tested on different pieces, or on none.
    """
    import numpy as np

    first: pd.DataFrame | None = None
    stacks = []
    classes = list(rungs[0].networks[0].facts["classes"])
    for rung in rungs:
        of_seeds = []
        for network in rung.networks:
            table = test_scores(network)
            first = table if first is None else first
            if not table[["patch_id", "truth"]].equals(first[["patch_id", "truth"]]):
                raise InputError(
                    f"{network.path} was tested on other pieces than the teacher",
                    "make all levels from the same samples with the same splits",
                )
            of_seeds.append(table[[f"p:{name}" for name in classes]].to_numpy(float))
        stacks.append(np.stack(of_seeds))
    if first is None or first.empty:
        raise InputError("there is no test piece", "rescale the pieces with a test split")
    truth = np.array([classes.index(label) for label in first["truth"]], dtype=np.int64)
    sources = set(first["group_source"]) - {"image"}
    kind = "piece" if not sources else "slide" if sources == {"slide"} else "group"
    return truth, np.stack(stacks), [str(g) for g in first["group"]], kind


def test_scores(network: Artefact) -> pd.DataFrame:
    """Return the scores of a network's test pieces, sorted by name."""
    import pandas as pd

    table = pd.read_parquet(network.file(SCORES))
    found: pd.DataFrame = table[table["split"] == "test"].sort_values("patch_id")
    return found.reset_index(drop=True)


def ladder_table(judged: Judged, costs: dict[float, dict[str, float]]) -> pd.DataFrame:
    """Return ``ladder.csv``: each metric of each rung over all seeds, and of each seed.

    Parameters
    ----------
    judged : Judged
        The ladder.
    costs : dict
        For each level ``gmacs`` and ``ms_per_piece``.
    """
    import numpy as np
    import pandas as pd

    from histograft.stats.metrics import confusion
    from histograft.stats.rd_bootstrap import AUROC
    from histograft.stats.rd_metrics import PAPER_METRICS, macro_auroc

    truth, probabilities, _, _ = stacked_scores(judged.rungs)
    rows = []
    for m, rung in enumerate(judged.rungs):
        fixed = dict(zip(KEYS, rung.key, strict=True))
        for metric in judged.draws.metrics:
            low, high = judged.draws.interval(m, metric)
            by_seed = [
                float(macro_auroc(truth, p))
                if metric == AUROC
                else float(PAPER_METRICS[metric](confusion(truth, p.argmax(1), p.shape[1])))
                for p in probabilities[m]
            ]
            spread = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else float("nan")
            whole = {"value": judged.draws.value(m, metric), "ci_low": low, "ci_high": high}
            of_pieces = fixed | {"unit": "piece", "metric": metric}
            rows.append(of_pieces | {"seed": "all"} | whole | {"seed_sd": spread})
            rows += [
                of_pieces | {"seed": str(seed), "value": value}
                for seed, value in zip(rung.seeds, by_seed, strict=True)
            ]
            for unit, of_unit in judged.of_units.items():
                low, high = of_unit.interval(m, metric)
                whole = {"value": of_unit.value(m, metric), "ci_low": low, "ci_high": high}
                rows.append(fixed | {"unit": unit, "metric": metric, "seed": "all"} | whole)
    table = pd.DataFrame(rows)
    for name in ("gmacs", "ms_per_piece"):
        table[name] = [costs[level][name] for level in table["mpp"]]
    return table


def teacher_rows(judged: Judged) -> list[dict[str, Any]]:
    """Return the rows of ``comparisons.csv`` that compare with the teacher."""
    rows = []
    for m, rung in enumerate(judged.rungs[1:], start=1):
        test = judged.tests[m]
        row = dict(zip(KEYS, rung.key, strict=True)) | {
            "compared_with": TEACHER,
            "metric": HEADLINE,
            "difference": test.difference,
            "ci_low": test.ci_low,
            "ci_high": test.ci_high,
            "margin": test.margin,
            "p_noninferior": test.p_value,
            "p_holm": test.p_holm,
            "non_inferior": test.holds,
        }
        if anew := judged.anew.get(m):
            row |= {
                "ci_low_new_seeds": anew.ci_low,
                "ci_high_new_seeds": anew.ci_high,
                "p_holm_new_seeds": anew.p_holm,
                "non_inferior_new_seeds": anew.holds,
            }
        rows.append(row)
    return rows
