r"""Support vector regression of many targets over one kernel matrix.

Sequential minimal optimization as in LIBSVM, step for step: the working set is chosen by second
order information (Fan, Chen and Lin 2005, JMLR 6:1889-1918), variables at a bound are set aside
while they cannot move, and work stops when the largest violation of the optimality conditions is
below the tolerance (Chang and Lin 2011, doi:10.1145/1961189.1961199). The usual tolerance, 1e-3, is
coarse, so two solvers agree in three digits only, unless they walk through the same points. This
one does: kernel values are in single precision and all else in double, sums are rounded in the same
order, and equal candidates are told apart by their place, as there.

The dual problem of ε-regression has two variables a unit, one for values above and one for values
below the tube, of which one is always zero: together a signed :math:`\beta_i \in [-C, C]`, with

.. math:: \min_\beta \tfrac12 \beta^\top K \beta - y^\top\beta + \epsilon |\beta|_1,
    \qquad \sum_i \beta_i = 0 .

``rates`` holds the rates at which the objective falls as either variable makes :math:`\beta_i`
rise: :math:`y_i - (K\beta)_i \mp \epsilon`. A unit rises by its upper variable unless
:math:`\beta_i < 0`, and falls by its lower one unless :math:`\beta_i > 0`; ``bars`` holds 0 where
it may, and an infinity where a bound or its being set aside bars it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from histograft.stats.compiled import compiled

Float = NDArray[np.float64]
Single = NDArray[np.float32]
Places = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Rows are padded to whole blocks, within which the processor compares several units at once.
_BLOCK = 32
# Curvature of a pair of equal rows, as in LIBSVM.
_LEAST_CURVATURE = 1e-12


def padded(kernel: Float) -> Single:
    """Return a kernel matrix in single precision with rows padded by zeros to whole blocks.

    Examples
    --------
    >>> padded(np.eye(3)).shape
    (3, 32)
    """
    n_units = len(kernel)
    rows = np.zeros((n_units, -(-n_units // _BLOCK) * _BLOCK), dtype=np.float32)
    rows[:, :n_units] = kernel
    return rows


@compiled(inline=True)
def _rise(k: int, rates: Float, beta: Float, bars: Float) -> Any:
    return (rates[1, k] if beta[k] < 0 else rates[0, k]) + bars[0, k]


@compiled(inline=True)
def _fall(k: int, rates: Float, beta: Float, bars: Float) -> Any:
    return (rates[0, k] if beta[k] > 0 else rates[1, k]) + bars[1, k]


@compiled(inline=True)
def _gain(rate: float, most: float, kernel: float) -> float:
    """Return twice the fall of the objective if the pair's step had no bound, 0 if none."""
    difference = most - rate
    difference = difference if difference > 0 else 0.0
    curvature = 2.0 - 2.0 * kernel
    curvature = curvature if curvature > 0 else _LEAST_CURVATURE
    return difference * difference / curvature


@compiled(inline=True)
def _steepest_rise(
    rates: Float, beta: Float, bars: Float, place: Places, tops: Float
) -> tuple[float, int]:
    """Return the largest rate of a unit that may rise, and its place, or -1."""
    best = -np.inf
    for block in range(len(tops)):
        most = -np.inf
        for k in range(block * _BLOCK, (block + 1) * _BLOCK):
            rate = _rise(k, rates, beta, bars)
            most = rate if rate > most else most
        best = most if most > best else best
        tops[block] = most
    latest = -1
    if best == -np.inf:
        return best, latest
    for block in range(len(tops)):
        if tops[block] == best:
            for k in range(block * _BLOCK, (block + 1) * _BLOCK):
                spot = place[1, k] if beta[k] < 0 else place[0, k]
                spot = spot if _rise(k, rates, beta, bars) == best else -1
                latest = spot if spot > latest else latest
    return best, latest


@compiled(inline=True)
def _best_partner(
    row: Single, most: float, rates: Float, beta: Float, bars: Float, place: Places, tops: Float
) -> tuple[float, int]:
    """Return the least rate of a unit that may fall, and the place of the best partner, or -1."""
    least, best = np.inf, 0.0
    for block in range(len(tops)):
        smallest, largest = np.inf, 0.0
        for k in range(block * _BLOCK, (block + 1) * _BLOCK):
            rate = _fall(k, rates, beta, bars)
            smallest = rate if rate < smallest else smallest
            gain = _gain(rate, most, np.float64(row[k]))
            largest = gain if gain > largest else largest
        least = smallest if smallest < least else least
        best = largest if largest > best else best
        tops[block] = largest
    latest = -1
    if best <= 0:
        return least, latest
    for block in range(len(tops)):
        if tops[block] == best:
            for k in range(block * _BLOCK, (block + 1) * _BLOCK):
                gain = _gain(_fall(k, rates, beta, bars), most, np.float64(row[k]))
                spot = place[0, k] if beta[k] > 0 else place[1, k]
                spot = spot if gain == best else -1
                latest = spot if spot > latest else latest
    return least, latest


@compiled(inline=True)
def _set_bars(k: int, beta: Float, bars: Float, aside: Flags, penalty: float) -> None:
    """Say whether unit k may rise and fall."""
    may_rise = not aside[1, k] if beta[k] < 0 else beta[k] < penalty and not aside[0, k]
    may_fall = not aside[0, k] if beta[k] > 0 else beta[k] > -penalty and not aside[1, k]
    bars[0, k] = 0.0 if may_rise else -np.inf
    bars[1, k] = 0.0 if may_fall else np.inf


@compiled(inline=True)
def _step(i: int, j: int, beta: Float, length: float, penalty: float) -> tuple[float, float]:
    """Return the values of a pair after i rose and j fell by `length`, or to the first bound."""
    top = 0.0 if beta[i] < 0 else penalty
    bottom = 0.0 if beta[j] > 0 else -penalty
    total = beta[i] + beta[j]
    risen, fallen = beta[i] + length, beta[j] - length
    if total > top + bottom:
        if risen > top:
            return top, total - top
    elif fallen < bottom:
        return total - bottom, bottom
    return risen, fallen


@compiled(inline=True)
def _is_stuck(
    variable: int, rates: Float, beta: Float, ends: tuple[float, float], penalty: float
) -> Any:
    """Whether a variable is at a bound and wants beyond it more than others want to move."""
    n_units = len(beta)
    most, least = ends
    if variable < n_units:
        rate, value = rates[0, variable], beta[variable]
        return (value >= penalty and rate > most) or (value <= 0 and rate < least)
    rate, value = rates[1, variable - n_units], -beta[variable - n_units]
    return (value >= penalty and rate < least) or (value <= 0 and rate > most)


@compiled(inline=True)
def _set_aside(
    order: Places, n_active: int, rates: Float, beta: Float, ends: tuple[float, float],
    penalty: float,
) -> int:  # fmt: skip
    """Move stuck variables behind the others in `order`; return the number of others."""
    i = 0
    while i < n_active:
        if _is_stuck(order[i], rates, beta, ends, penalty):
            n_active -= 1
            while n_active > i:
                if not _is_stuck(order[n_active], rates, beta, ends, penalty):
                    order[i], order[n_active] = order[n_active], order[i]
                    break
                n_active -= 1
        i += 1
    return n_active


@compiled(inline=True)
def _bias(beta: Float, rates: Float, penalty: float) -> float:
    """Return the intercept: the mean over free variables, else the middle of what is allowed."""
    total, n_free, top, bottom = 0.0, 0, np.inf, -np.inf
    for k in range(len(beta)):
        above, below = rates[0, k], rates[1, k]
        if beta[k] >= penalty:
            top = min(top, above)
        elif beta[k] <= -penalty:
            bottom = max(bottom, below)
        elif beta[k] == 0:
            bottom, top = max(bottom, above), min(top, below)
        else:
            total += above if beta[k] > 0 else below
            n_free += 1
    return total / n_free if n_free else (top + bottom) / 2


@compiled(inline=True)
def _mark(
    order: Places, n_active: int, beta: Float, bars: Float, place: Places, penalty: float
) -> Flags:
    """Write the order of the variables, and which are set aside, into `place` and `bars`."""
    n_units = len(order) // 2
    aside = np.zeros((2, n_units), dtype=np.bool_)
    for spot in range(len(order)):
        side, unit = order[spot] // n_units, order[spot] % n_units
        place[side, unit] = spot
        aside[side, unit] = spot >= n_active
    for k in range(n_units):
        _set_bars(k, beta, bars, aside, penalty)
    return aside


@compiled(inline=True)
def _choose_pair(
    kernel: Single, rates: Float, beta: Float, bars: Float, place: Places, order: Places,
    tops: Float,
) -> tuple[int, int, float, float]:  # fmt: skip
    """Return the pair to move, with -1 for none, and the ends of the rates."""
    n_units = len(kernel)
    most, spot = _steepest_rise(rates, beta, bars, place, tops)
    if spot < 0:
        return -1, -1, most, np.inf
    i = order[spot] % n_units
    least, spot = _best_partner(kernel[i], most, rates, beta, bars, place, tops)
    j = order[spot] % n_units if spot >= 0 else -1
    return i, j, most, least


@compiled()
def _solve(
    kernel: Single, rates: Float, beta: Float, box: Float, most_steps: int
) -> tuple[float, int]:
    """Minimize for one target; return the intercept and the number of steps, -1 for too many."""
    n_units, penalty, tolerance = len(kernel), box[0], box[2]
    inside, inside_rates = beta[:n_units], rates[:, :n_units]
    bars, place = np.empty(rates.shape), np.zeros(rates.shape, dtype=np.int64)
    bars[0], bars[1] = -np.inf, np.inf
    tops = np.empty(len(beta) // _BLOCK)
    order = np.arange(2 * n_units)
    n_active = len(order)
    aside = _mark(order, n_active, beta, bars, place, penalty)
    # As in LIBSVM: every so many steps variables are set aside; once all is nearly solved they
    # all come back, once.
    pause = min(len(order), 1000)
    countdown, came_back = pause + 1, False
    n_steps = 0
    while n_steps < most_steps:
        i, j, most, least = _choose_pair(kernel, rates, beta, bars, place, order, tops)
        countdown -= 1
        if countdown == 0:
            countdown = pause
            if not came_back and most - least <= 10 * tolerance:
                came_back, n_active = True, len(order)
            n_active = _set_aside(order, n_active, inside_rates, inside, (most, least), penalty)
            aside = _mark(order, n_active, beta, bars, place, penalty)
            i, j, most, least = _choose_pair(kernel, rates, beta, bars, place, order, tops)
        if j < 0 or most - least < tolerance:
            if n_active == len(order):
                return _bias(inside, inside_rates, penalty), n_steps
            # Solved without those that are set aside: look at all of them, and set aside anew.
            n_active = len(order)
            aside = _mark(order, n_active, beta, bars, place, penalty)
            i, j, most, least = _choose_pair(kernel, rates, beta, bars, place, order, tops)
            if j < 0 or most - least < tolerance:
                return _bias(inside, inside_rates, penalty), n_steps
            countdown = 1
        n_steps += 1
        rising, falling = kernel[i], kernel[j]
        curvature = max(2.0 - 2.0 * np.float64(rising[j]), _LEAST_CURVATURE)
        length = (most - _fall(j, rates, beta, bars)) / curvature
        risen, fallen = _step(i, j, beta, length, penalty)
        change, other_change = risen - beta[i], fallen - beta[j]
        beta[i], beta[j] = risen, fallen
        _set_bars(i, beta, bars, aside, penalty)
        _set_bars(j, beta, bars, aside, penalty)
        for k in range(len(beta)):
            decline = np.float64(rising[k]) * change + np.float64(falling[k]) * other_change
            rates[0, k] -= decline
            rates[1, k] -= decline
    return 0.0, -1


@compiled()
def solve_many(
    kernel: Single, targets: Float, box: Float, most_steps: int
) -> tuple[Float, Float, Places]:
    """Fit each target.

    Parameters
    ----------
    kernel : ndarray of float32, shape (N, M)
        Kernel matrix of the N training units with ones on its diagonal, from `padded`.
    targets : ndarray of float64, shape (G, N)
        One target a row.
    box : ndarray of float64, shape (3,)
        C, ε and the tolerance.
    most_steps : int
        Steps after which a target is given up.

    Returns
    -------
    beta : ndarray of float64, shape (G, N)
        Weight of each unit's kernel function.
    bias : ndarray of float64, shape (G,)
        Intercept.
    n_steps : ndarray of int64, shape (G,)
        Pairs that were moved; -1 where `most_steps` were not enough.

    Examples
    --------
    Two units with K = I and targets 0 and 1: β = ∓(1 - 2ε)/2, and the middle is the intercept.

    >>> box = np.array([1.0, 0.1, 1e-3])
    >>> beta, bias, _ = solve_many(padded(np.eye(2)), np.array([[0.0, 1.0]]), box, 1000)
    >>> beta.round(6).tolist(), bias.round(6).tolist()
    ([[-0.4, 0.4]], [0.5])
    """
    n_targets, n_units = targets.shape
    weights = np.empty((n_targets, n_units))
    bias = np.empty(n_targets)
    n_steps = np.empty(n_targets, dtype=np.int64)
    rates, beta = np.empty((2, kernel.shape[1])), np.empty(kernel.shape[1])
    for g in range(n_targets):
        rates[:], beta[:] = 0.0, 0.0
        rates[0, :n_units] = targets[g] - box[1]
        rates[1, :n_units] = targets[g] + box[1]
        bias[g], n_steps[g] = _solve(kernel, rates, beta, box, most_steps)
        weights[g] = beta[:n_units]
    return weights, bias, n_steps
