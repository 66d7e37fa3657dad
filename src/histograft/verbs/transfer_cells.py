"""Cells of a transfer matrix: trials together, a learning rate chosen, metrics and tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from histograft.core.artefact import Artefact
from histograft.core.errors import InputError
from histograft.verbs.transfer_tables import TABLE

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from histograft.stats.crossed import TrialMetric

# What the gain of a cell is measured against: the same training without another data set; of a
# fused network, the best of those that it was fused of.
HEADLINE = {"random": "self", "imagenet": "direct"}
BEST_SINGLE = "best-single"
CONTROLS = {
    BEST_SINGLE: "tuned from that network of the fused ones which did best on validation rows",
    "first-only": "tuned from the first of the fused networks, passed through the same steps",
    "random-subspace": "the first of the networks, projected on random directions",
    "self": "trained on the target before, then tuned on it in the same way",
    "direct": "tuned on the target directly, without another data set",
    "scratch": "all layers trained on the target alone, for as many epochs as both steps together",
    "shuffled": "tuned from a source whose weights were permuted within each tensor",
}
NO_TUNING = "none"


@dataclass(frozen=True, order=True)
class CellKey:
    """What a cell is.

    Attributes
    ----------
    source, target : str
        Data sets.
    start : str
        What the source began with: random or imagenet.
    tune : str
        none, fine or deep.
    control : str
        Which control it is, empty for none.
    """

    source: str
    target: str
    start: str
    tune: str
    control: str


@dataclass
class Cell:
    """The trials of one cell at the learning rate that their validation rows chose.

    Attributes
    ----------
    key : CellKey
        What it is.
    trials : list of Artefact
        Predictions of each trial.
    rate : str
        Name of the chosen rate, empty where every rate diverged in a trial.
    metrics : dict of str to TrialMetric
        By name; empty where every rate diverged.
    """

    key: CellKey
    trials: list[Artefact]
    rate: str = ""
    metrics: dict[str, TrialMetric] = field(default_factory=dict)

    @property
    def fused(self) -> dict[str, Any] | None:
        """Mode and data sets of a network that was fused, None for any other."""
        found: dict[str, Any] | None = self.trials[0].facts["transfer"].get("fused")
        return found

    @property
    def headline(self) -> str:
        """The control that its gain is measured against."""
        return BEST_SINGLE if self.fused else HEADLINE.get(self.key.start, "self")

    @property
    def val_metric(self) -> float:
        """Mean over trials of the result on validation rows at the chosen rate; -1 for none."""
        rates = [r for t in self.trials for r in t.facts["transfer"]["rates"]]
        found = [r["val_metric"] for r in rates if r["name"] == self.rate]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else -1.0

    @property
    def is_transfer(self) -> bool:
        """Whether weights came from another data set."""
        key = self.key
        return not key.control and key.tune != NO_TUNING and key.source != key.target

    @property
    def lr(self) -> float | None:
        """The chosen learning rate."""
        for rate in self.trials[0].facts["transfer"]["rates"]:
            if rate["name"] == self.rate:
                return None if rate["lr"] is None else float(rate["lr"])
        return None

    @property
    def n_diverged(self) -> int:
        """Trainings that diverged, over trials and learning rates."""
        rates = [r for t in self.trials for r in t.facts["transfer"]["rates"]]
        return sum(bool(rate["diverged"]) for rate in rates)


def collect_cells(artefacts: Iterable[Artefact]) -> list[Cell]:
    """Join trials to cells, choose their learning rates and read their predictions.

    Raises
    ------
    InputError
        An artefact is no transfer, or trials of a cell are not comparable.
    """
    found: dict[CellKey, list[Artefact]] = {}
    for artefact in artefacts:
        facts = artefact.facts.get("transfer")
        if facts is None:
            raise InputError(
                f"{artefact.path} holds predictions, but not of a transfer",
                "give folders that `histograft transfer` made",
            )
        names = ("start", "tune", "control")
        key = CellKey(facts["source"], artefact.facts["dataset"], *(facts[n] for n in names))
        found.setdefault(key, []).append(artefact)
    cells = [Cell(key, sorted(trials, key=_trial)) for key, trials in found.items()]
    for cell in cells:
        _check_trials(cell)
        cell.rate = choose_rate([t.facts["transfer"]["rates"] for t in cell.trials])
        if cell.rate:
            cell.metrics = _metrics(cell)
    return cells


def choose_rate(trials: Sequence[Sequence[dict[str, Any]]]) -> str:
    """Return the rate with the best mean result on validation rows over the trials.

    A rate that diverged in one of the trials is passed over; of equals the first is taken. Empty
    where none is left.

    Examples
    --------
    >>> first = [{"name": "a", "val_metric": 0.8, "diverged": ""},
    ...          {"name": "b", "val_metric": 0.9, "diverged": ""}]
    >>> second = [{"name": "a", "val_metric": 0.9, "diverged": ""},
    ...           {"name": "b", "val_metric": None, "diverged": "the loss is nan"}]
    >>> choose_rate([first, second]), choose_rate([first])
    ('a', 'b')
    """
    best, chosen = -1.0, ""
    for position, rate in enumerate(trials[0]):
        same = [trial[position] for trial in trials]
        if any(r["diverged"] for r in same):
            continue
        if same[0]["val_metric"] is None:  # a network that is tested as it is has one "rate"
            return str(rate["name"])
        mean = sum(r["val_metric"] for r in same) / len(same)
        if mean > best:
            best, chosen = mean, str(rate["name"])
    return chosen


def cell_rows(cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Give a row for each cell and metric."""
    from histograft.stats.crossed import crossed_mean

    for cell in cells:
        base = _base(cell)
        if not cell.metrics:  # every rate diverged
            plain = cell.trials[0].facts["task"] == "class"
            yield base | {"metric": "accuracy" if plain else "macro_ap", "n_trials": 0}
        for name, metric in cell.metrics.items():
            found = crossed_mean(metric)
            yield base | {
                "metric": name,
                "value": found.value,
                "value_sd": found.sd,
                "n_trials": found.n_trials,
                "ci_low": found.low,
                "ci_high": found.high,
            }


def comparison_rows(cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Give a row for each transfer and each control of its target, start and tuning."""
    from histograft.stats.crossed import crossed_difference

    for cell in cells:
        for control in CONTROLS if cell.is_transfer else ():
            other = find_control(cell, control, cells)
            if other is None or not other.metrics:
                continue
            for metric, values in cell.metrics.items():
                found = crossed_difference(values, other.metrics[metric])
                yield _base(cell) | {
                    "metric": metric,
                    "compared_with": control,
                    "difference": found.value,
                    "difference_low": max(-1.0, found.low),
                    "difference_high": min(1.0, found.high),
                    "p_value": found.p_value,
                    "headline": control == cell.headline,
                }


def rate_rows(cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Give a row for each trial and learning rate: what the choice was made from."""
    for cell in cells:
        for artefact in cell.trials:
            facts = artefact.facts["transfer"]
            for rate in facts["rates"]:
                yield _base(cell) | {
                    "trial": facts["trial"],
                    "learning_rate": rate["lr"],
                    "val_metric": rate["val_metric"],
                    "best_epoch": rate["best_epoch"],
                    "status": f"diverged: {rate['diverged']}" if rate["diverged"] else "done",
                    "chosen": rate["name"] == cell.rate,
                }


def _base(cell: Cell) -> dict[str, Any]:
    key = cell.key
    return {
        "source": key.source,
        "target": key.target,
        "init": key.start,
        "tune": key.tune,
        "control": key.control,
    }


def find_control(cell: Cell, control: str, cells: Sequence[Cell]) -> Cell | None:
    """Find the control of a cell: same target, same start, same tuning.

    Scratch has all layers to learn, whatever the cell tunes. What is fused has controls of its
    own, and is compared with ImageNet weights wherever it started.
    """
    key = cell.key
    if control == BEST_SINGLE:
        of = (cell.fused or {}).get("of", [])
        single = [
            c for c in _alike(cells, key) if c.is_transfer and not c.fused and c.key.source in of
        ]
        return max(single, key=lambda c: c.val_metric, default=None)
    starts = ("imagenet",) if control == "direct" and cell.fused else (key.start,)
    tunes = (key.tune, "deep") if control == "scratch" else (key.tune,)
    for other in cells:
        theirs = other.key
        if (
            theirs.control == control
            and theirs.target == key.target
            and theirs.start in starts
            and theirs.tune in tunes
            and (other.fused or {}).get("of") in (None, (cell.fused or {}).get("of"))
        ):
            return other
    return None


def _alike(cells: Sequence[Cell], key: CellKey) -> list[Cell]:
    wanted = (key.target, key.start, key.tune, "")
    return [c for c in cells if (c.key.target, c.key.start, c.key.tune, c.key.control) == wanted]


def _trial(artefact: Artefact) -> int:
    return int(artefact.facts["transfer"]["trial"])


def _check_trials(cell: Cell) -> None:
    numbers = [_trial(artefact) for artefact in cell.trials]
    if len(set(numbers)) < len(numbers):
        raise InputError(
            f"trial {max(numbers, key=numbers.count)} of {cell.key} is given twice",
            "give the cells of one run",
        )
    grids = {
        tuple(r["name"] for r in artefact.facts["transfer"]["rates"]) for artefact in cell.trials
    }
    if len(grids) > 1:
        raise InputError(
            f"the trials of {cell.key} have different learning rates", "give the cells of one run"
        )


def _metrics(cell: Cell) -> dict[str, TrialMetric]:
    """Read the predictions of the chosen rate in all trials, on the same units."""
    import numpy as np

    from histograft.stats.crossed import macro_average_precision, mean_metric

    first = cell.trials[0]
    tables = [_read(artefact, cell.rate) for artefact in cell.trials]
    units = tables[0]["unit"].to_numpy(str)
    for artefact, table in zip(cell.trials, tables, strict=True):
        if len(table) != len(units) or (table["unit"].to_numpy(str) != units).any():
            raise InputError(
                f"{artefact.path} tests other patches than {first.path}", "give cells of one run"
            )
    groups = tables[0]["group"]
    if first.facts["task"] == "class":
        right = np.stack([(t["predicted"] == t["truth"]).to_numpy(np.float64) for t in tables])
        return {"accuracy": mean_metric(right, _resampled(groups))}
    k = len(first.facts["classes"])
    index = _resampled(groups.iloc[::k])
    scores = np.stack([t["score"].to_numpy(np.float64).reshape(-1, k) for t in tables])
    truth = _labels(tables[0].iloc[::k]["truth"], first.facts["classes"])
    right = ((scores > 0.5) == truth).mean(axis=2)
    return {
        "macro_ap": macro_average_precision(scores, truth, index),
        "hamming": mean_metric(right, index),
    }


def _resampled(groups: pd.Series[str]) -> NDArray[np.int64]:
    """Give each patch the number of its group, or its own where all are of one group."""
    import numpy as np
    import pandas as pd

    numbers = pd.factorize(groups)[0]
    return numbers if numbers.max() > 0 else np.arange(len(groups))


def _read(artefact: Artefact, rate: str) -> pd.DataFrame:
    import pandas as pd

    table = pd.read_parquet(artefact.file(TABLE))
    return table[table["model"] == rate].astype({"truth": str, "predicted": str})


def _labels(joined: pd.Series[str], classes: Sequence[str]) -> NDArray[np.bool_]:
    import numpy as np

    sets = [set(text.split("|")) for text in joined]
    return np.array([[name in labels for name in classes] for labels in sets], dtype=bool)
