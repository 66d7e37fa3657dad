"""Weight distillation: several networks of one architecture as one, without training.

Zhang et al. 2022 (HistoKT), section 2.5, doi:10.48550/arXiv.2201.11246, and what the method
has to be compared with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from histograft.core.errors import InputError
from histograft.core.executor import open_threads
from histograft.core.seeds import generator
from histograft.learning.alignment import align_to, channels_moved
from histograft.learning.eigenvectors import Matrix
from histograft.learning.fuse_layers import FROM_FIRST, MODES, Kept, Mode, fuse_matrices
from histograft.learning.fuse_states import State, matched_names

__all__ = ["MODES", "FuseReport", "Mode", "fuse_report", "fuse_state_dicts"]

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class FuseReport:
    """A fused network, and what became of its parents.

    Attributes
    ----------
    state : dict of str to Tensor
        What `fuse_state_dicts` returns.
    layers : list of dict
        For each matrix and parent: ``layer``, ``parent`` (from 1), ``rows`` (n_o), ``columns``
        (k), ``retained_energy`` = ‖kept part of W_i‖² / ‖W_i‖² (None for averages, which keep no
        subspace), ``energy_ratio`` = ‖W′‖² / ‖W_i‖², ``distance`` = ‖W′ - W_i‖ / ‖W_i‖ (to the
        parent with matched channels, in ``aligned-average``) and ``order_sensitivity`` =
        ‖W″ - W′‖ / ‖W′‖, W″ the layer had this parent come first (None in ``aligned-average``,
        whose channels would come in another order). Frobenius norms; None where one divides by 0.
    dropped : dict of str to str
        Tensors that are not in the fused network, with the reason.
    channels_moved : list of float
        For each parent the share of channels that changed their place to match the first network,
        0 to 1; 0 in other modes than ``aligned-average``.
    """

    state: dict[str, Tensor]
    layers: list[dict[str, Any]]
    dropped: dict[str, str]
    channels_moved: list[float]


def fuse_state_dicts(states: Sequence[State], mode: Mode, *, seed: int = 0) -> dict[str, Tensor]:
    r"""Fuse networks of one architecture into one.

    Parameters
    ----------
    states : sequence of mapping of str to Tensor
        State dicts W_1 … W_m of any number of networks with the same names and shapes; heads of
        different class counts are left out (`fuse_report` says which). None is changed.
    mode : str
        * ``paper``: as printed in the paper. Matrices are stacked over the networks and cut to
          the n_o largest singular values, which comes to W′ = W_1 V_r V_rᵀ: the **first**
          network's filters, projected on what all have in common. The order matters.
        * ``paper-normalized``: the same, but each network's matrix counts with unit norm when the
          common subspace is sought.
        * ``average``: the mean.
        * ``aligned-average``: the mean after the channels of each network were matched with those
          of the first, see `histograft.learning.alignment`. ResNets only.
        * ``basis``: Σ_r V_rᵀ / √m, turned to the mean by an orthogonal matrix.
        * ``first-only``: the first network; a control.
        * ``random-subspace``: ``paper`` with a random subspace; a control.
    seed : int
        Of ``random-subspace``.

    Returns
    -------
    dict of str to Tensor
        New tensors on the CPU, named, ordered and typed as in the first network. Tensors with one
        dimension (BatchNorm, biases) are means, integers (counters of batches) maxima.

    Raises
    ------
    InputError
        The mode is unknown, the architectures differ (the message names the first tensor that
        does), a tensor is not finite, or ``aligned-average`` does not know the architecture.

    Notes
    -----
    BatchNorm statistics are means of statistics, which fit no network: measure them anew with
    `histograft.learning.recalibrate.recalibrate_batchnorm`. Computed in float64.

    Examples
    --------
    >>> first = {"conv.weight": torch.tensor([[3.0, 0.0]]), "bn.bias": torch.tensor([1.0])}
    >>> second = {"conv.weight": torch.tensor([[0.0, 4.0]]), "bn.bias": torch.tensor([2.0])}
    >>> fuse_state_dicts([first, second], "average")
    {'conv.weight': tensor([[1.5000, 2.0000]]), 'bn.bias': tensor([1.5000])}
    >>> fuse_state_dicts([second, first], "paper")["conv.weight"].abs().round()
    tensor([[0., 4.]])
    """
    names, _ = _checked(states, mode)
    aligned, _ = _aligned(states, names, mode)
    tensors = _each(names, lambda name: _fused(name, aligned, mode, seed)[0])
    return dict(zip(names, tensors, strict=True))


def fuse_report(states: Sequence[State], mode: Mode, *, seed: int = 0) -> FuseReport:
    """Fuse networks, and measure layer by layer what is left of each.

    Parameters
    ----------
    states, mode, seed
        As for `fuse_state_dicts`, which returns the same weights in less time.

    Returns
    -------
    FuseReport
        The state, a row for each matrix and parent, and what was dropped.

    Raises
    ------
    InputError
        As `fuse_state_dicts`.

    Examples
    --------
    >>> first = {"conv.weight": torch.tensor([[3.0, 4.0]]), "fc.weight": torch.zeros(2, 1)}
    >>> second = {"conv.weight": torch.tensor([[0.0, 40.0]]), "fc.weight": torch.zeros(3, 1)}
    >>> report = fuse_report([first, second], "paper")
    >>> list(report.dropped), [round(row["retained_energy"], 2) for row in report.layers]
    (['fc.weight'], [0.65, 1.0])
    """
    names, dropped = _checked(states, mode)
    aligned, moved = _aligned(states, names, mode)
    done = _each(names, lambda name: _fused_with_rows(name, aligned, mode, seed))
    return FuseReport(
        state={name: tensor for name, (tensor, _) in zip(names, done, strict=True)},
        layers=[row for _, rows in done for row in rows],
        dropped=dropped,
        channels_moved=moved,
    )


def _checked(states: Sequence[State], mode: Mode) -> tuple[list[str], dict[str, str]]:
    if mode not in MODES:
        raise InputError(f"there is no mode {mode!r}", f"use one of {', '.join(MODES)}")
    return matched_names(states)


def _aligned(
    states: Sequence[State], names: Sequence[str], mode: Mode
) -> tuple[list[State], list[float]]:
    """Tensors that are fused, with the channels of all networks in the order of the first's."""
    kept: list[State] = [{name: state[name].detach().cpu() for name in names} for state in states]
    if mode != "aligned-average":
        return kept, [0.0] * len(kept)
    done = _each(kept[1:], lambda other: align_to(kept[0], other))
    moved = [0.0, *(channels_moved(permutations) for _, permutations in done)]
    return [kept[0], *(state for state, _ in done)], moved


def _each(items: Sequence[Item], work: Callable[[Item], Result]) -> list[Result]:
    """Do the work for each item, two side by side, each with one thread of BLAS."""
    with open_threads(2) as pool:
        return list(pool.map(work, items))


def _fused(
    name: str, states: Sequence[State], mode: Mode, seed: int
) -> tuple[Tensor, list[Matrix], Matrix | None, Kept | None]:
    """Fuse one tensor; matrices also with what they were made of."""
    first = states[0][name]
    if mode == "first-only" and first.ndim < 2:
        return first.clone(), [], None, None
    if not first.is_floating_point():
        stacked = torch.stack([state[name] for state in states])
        return stacked.amax(dim=0), [], None, None
    if first.ndim < 2:
        mean = torch.stack([state[name].double() for state in states]).mean(dim=0)
        return mean.to(first.dtype), [], None, None
    matrices = [state[name].double().flatten(1).numpy() for state in states]
    fused, kept = fuse_matrices(matrices, mode, generator(seed, "random-subspace", name))
    tensor = torch.from_numpy(np.ascontiguousarray(fused)).reshape(first.shape).to(first.dtype)
    return tensor, matrices, fused, kept


def _fused_with_rows(
    name: str, states: Sequence[State], mode: Mode, seed: int
) -> tuple[Tensor, list[dict[str, Any]]]:
    tensor, matrices, fused, kept = _fused(name, states, mode, seed)
    if fused is None:
        return tensor, []
    size = float(np.linalg.norm(fused))
    rows = []
    for index, matrix in enumerate(matrices):
        own = float(np.linalg.norm(matrix))
        part = None if kept is None else kept.project(index)
        rows.append(
            {
                "layer": name.removesuffix(".weight"),
                "parent": index + 1,
                "rows": matrix.shape[0],
                "columns": matrix.shape[1],
                "retained_energy": None if part is None else _ratio(_norm(part), own, power=2),
                "energy_ratio": _ratio(size, own, power=2),
                "distance": _ratio(_norm(fused - matrix), own),
                "order_sensitivity": _order_sensitivity(mode, part, fused, size),
            }
        )
    return tensor, rows


def _order_sensitivity(mode: Mode, part: Matrix | None, fused: Matrix, size: float) -> float | None:
    if mode == "aligned-average":
        return None
    if mode not in FROM_FIRST or part is None:
        return 0.0
    return _ratio(_norm(part - fused), size)


def _norm(matrix: Matrix) -> float:
    return float(np.linalg.norm(matrix))


def _ratio(value: float, base: float, power: int = 1) -> float | None:
    ratio = math.nan if base == 0.0 else (value / base) ** power
    return ratio if math.isfinite(ratio) else None
