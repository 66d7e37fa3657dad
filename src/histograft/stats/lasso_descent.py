r"""The lasso for a falling sequence of penalties, for squared and for logistic loss.

.. math:: \min_{b_0, b} \frac1n \sum_i \ell(y_i, b_0 + x_i^\top b) + \lambda |b|_1

with :math:`\ell = \tfrac12 (y - f)^2`, or :math:`\log(1 + e^f) - y f`. Features are standardized
and the intercept is free. Each penalty starts from the solution before. The logistic loss is
replaced by its quadratic approximation at the current scores, again and again; the quadratic
problem is solved by going through the coordinates in turn (Friedman, Hastie and Tibshirani 2010,
doi:10.18637/jss.v033.i01). Only features that may take part are visited: first those whose slope
has reached the penalty, then those that the strong rule :math:`|g_j| \ge 2\lambda_k -
\lambda_{k-1}` cannot discard, and last all of them, until none violates its optimality condition
:math:`|g_j| \le \lambda` (Tibshirani et al. 2012, doi:10.1111/j.1467-9868.2011.01004.x).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histograft.stats.compiled import compiled

Float = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

SQUARED, LOGISTIC = 0, 1

# Probabilities are kept this far from 0 and 1 where they become weights.
_LEAST_PROBABILITY = 1e-9
# The path ends where a further penalty gains so little, or so much is explained; not before the
# fifth penalty. These are the defaults of glmnet.control.
_LEAST_GAIN = 1e-5
_MOST_EXPLAINED = 0.999
_FEWEST_PENALTIES = 5
_MOST_SWEEPS = 100_000
# Sweeps from which a point is extrapolated.
_MEMORY = 5
# Sweeps that take about as long as a solution of the normal equations.
_PATIENCE = 120
_MOST_APPROXIMATIONS = 200


@compiled(reorder_sums=True, inline=True)
def _dot(a: Float, b: Float) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@compiled(inline=True)
def _soften(value: float, penalty: float) -> float:
    if value > penalty:
        return value - penalty
    return value + penalty if value < -penalty else 0.0


@compiled(inline=True)
def _sweep(
    rows: Float,
    weighted: Float,
    curvature: Float,
    active: Indices,
    coef: Float,
    fit: Float,
    penalty: float,
) -> tuple[float, float]:
    """Improve the intercept and each active coefficient once.

    Returns the change of the intercept, and the largest curvature times squared change.
    """
    weight, residual = fit[0], fit[1]
    total_weight = weight.sum()
    shift = _dot(weight, residual) / total_weight
    residual -= shift
    largest = total_weight * shift * shift
    for a in range(len(active)):
        j = active[a]
        slope = _dot(weighted[a], residual) + curvature[a] * coef[j]
        change = _soften(slope, penalty) / curvature[a] - coef[j]
        if change != 0:
            coef[j] += change
            row = rows[j]
            for i in range(len(residual)):
                residual[i] -= change * row[i]
            largest = max(largest, curvature[a] * change * change)
    return shift, largest


@compiled(inline=True)
def _extrapolate(history: Float, steps: Float, shares: Float) -> None:
    """Set the shares of the points of `history`, adding up to 1, whose mean moves least.

    ``shares`` belong to all points but the first; the step to each is weighed with it.
    """
    n_points = len(steps)
    steps[:] = history[1:] - history[:-1]
    products, size = np.empty((n_points, n_points)), 0.0
    for k in range(n_points):
        for m in range(k + 1):
            products[k, m] = products[m, k] = _dot(steps[k], steps[m])
        size += products[k, k]
    for k in range(n_points):
        products[k, k] += 1e-10 * size + 1e-300
    shares[:] = np.linalg.solve(products, np.ones(n_points))
    shares /= shares.sum()


@compiled(inline=True)
def _quadratic(weight: Float, residual: Float, point: Float, penalty: float) -> float:
    total = 0.0
    for i in range(len(residual)):
        total += weight[i] * residual[i] * residual[i] / 2
    # The last number of a point is the intercept, which is free.
    for a in range(len(point) - 1):
        total += penalty * abs(point[a])
    return total


@compiled()
def _jump(
    rows: Float,
    weighted: Float,
    active: Indices,
    coef: Float,
    fit: Float,
    penalty: float,
) -> float:
    """Go to the minimum for the present signs, or to the first coefficient that becomes zero.

    Returns the change of the intercept.
    """
    weight, residual = fit[0], fit[1]
    chosen = np.flatnonzero(coef[active] != 0)
    size = len(chosen) + 1
    # The intercept comes last: a feature of ones.
    matrix, right, change = np.empty((size, size)), np.empty(size), np.empty(size)
    for m in range(size - 1):
        row = weighted[chosen[m]]
        for k in range(m + 1):
            matrix[m, k] = matrix[k, m] = _dot(row, rows[active[chosen[k]]])
        matrix[size - 1, m] = matrix[m, size - 1] = row.sum()
        right[m] = _dot(row, residual) - penalty * np.sign(coef[active[chosen[m]]])
    matrix[size - 1, size - 1] = weight.sum()
    right[size - 1] = _dot(weight, residual)
    # Features that repeat one another leave the matrix singular; any of its solutions will do.
    for m in range(size):
        matrix[m, m] *= 1 + 1e-12
    change[:] = np.linalg.solve(matrix, right)
    length, first = 1.0, -1
    for m in range(size - 1):
        reach = -coef[active[chosen[m]]] / change[m] if change[m] != 0 else np.inf
        if 0 < reach < length:
            length, first = reach, m
    for m in range(size - 1):
        j = active[chosen[m]]
        coef[j] = coef[j] + length * change[m] if m != first else 0.0
        residual -= length * change[m] * rows[j]
    residual -= length * change[size - 1]
    return float(length * change[size - 1])


@compiled(inline=True)
def _sweep_until_still(
    rows: Float,
    weighted: Float,
    curvature: Float,
    active: Indices,
    coef: Float,
    fit: Float,
    limits: tuple[float, float],
) -> tuple[float, bool]:
    """Solve the quadratic problem over the active features; `fit` holds weights and residuals.

    Returns the change of the intercept, and whether all came to rest. After some sweeps their
    trend is followed, if that lowers the loss (Bertrand and Massias 2021, "Anderson acceleration of
    coordinate descent", PMLR 130:1288-1296); after many, the normal equations are solved.
    """
    penalty, threshold = limits
    weight, residual = fit[0], fit[1]
    n_active, n_units = len(active), len(residual)
    # Points of recent sweeps: coefficients and intercept, and the residuals that belong to them.
    history = np.empty((_MEMORY + 1, n_active + 1))
    residuals = np.empty((_MEMORY + 1, n_units))
    steps, shares = np.empty((_MEMORY, n_active + 1)), np.empty(_MEMORY)
    intercept, n_kept = 0.0, 0
    for n_sweeps in range(1, _MOST_SWEEPS + 1):
        shift, largest = _sweep(rows, weighted, curvature, active, coef, fit, penalty)
        intercept += shift
        if largest < threshold:
            return intercept, True
        if n_sweeps % _PATIENCE == 0:
            intercept += _jump(rows, weighted, active, coef, fit, penalty)
            n_kept = 0
            continue
        history[n_kept, :n_active], history[n_kept, n_active] = coef[active], intercept
        residuals[n_kept] = residual
        n_kept += 1
        if n_kept <= _MEMORY:
            continue
        n_kept = 0
        _extrapolate(history, steps, shares)
        point, rest = shares @ history[1:], shares @ residuals[1:]
        now = _quadratic(weight, residual, history[_MEMORY], penalty)
        if _quadratic(weight, rest, point, penalty) < now:
            coef[active] = point[:n_active]
            intercept, residual[:] = point[n_active], rest
    return intercept, False


@compiled(inline=True)
def _approximate(y: Float, scores: Float, weight: Float, residual: Float, loss: int) -> None:
    """Set the weights of the quadratic loss at the current scores, and what is left to explain."""
    n_units = len(y)
    for i in range(n_units):
        if loss == LOGISTIC:
            share = 1 / (1 + np.exp(-scores[i]))
            error = y[i] - share
            share = min(max(share, _LEAST_PROBABILITY), 1 - _LEAST_PROBABILITY)
            weight[i] = share * (1 - share) / n_units
            residual[i] = error / (share * (1 - share))
        else:
            weight[i] = 1 / n_units
            residual[i] = y[i] - scores[i]


@compiled(inline=True)
def _mean_loss(y: Float, scores: Float, loss: int) -> float:
    total = 0.0
    for i in range(len(y)):
        if loss == LOGISTIC:
            total += np.log1p(np.exp(-abs(scores[i]))) + max(scores[i], 0.0) - y[i] * scores[i]
        else:
            total += (y[i] - scores[i]) ** 2 / 2
    return total / len(y)


@compiled()
def _fit_active(
    rows: Float,
    units: Float,
    active: Indices,
    coef: Float,
    buffer: Float,
    limits: tuple[float, float],
    loss: int,
) -> tuple[float, bool]:
    """Minimize over the active features from `coef`; `units` holds targets and scores.

    Returns the change of the intercept, and whether all came to rest.
    """
    y, scores = units[0], units[1]
    n_units = len(y)
    fit, curvature = np.empty((2, n_units)), np.empty(len(active))
    weight, residual = fit[0], fit[1]
    intercept = 0.0
    penalty, threshold = limits
    objective = _mean_loss(y, scores, loss) + penalty * np.abs(coef[active]).sum()
    for _ in range(_MOST_APPROXIMATIONS):
        _approximate(y, scores, weight, residual, loss)
        for a in range(len(active)):
            row = rows[active[a]]
            for i in range(n_units):
                buffer[a, i] = weight[i] * row[i]
            curvature[a] = _dot(buffer[a], row)
        before, start = coef[active], residual.copy()
        shift, still = _sweep_until_still(rows, buffer, curvature, active, coef, fit, limits)
        step = start - residual
        scores += step
        if loss == SQUARED:
            return intercept + shift, still
        # The quadratic can promise too much where probabilities are near 0 or 1.
        reached = _mean_loss(y, scores, loss) + penalty * np.abs(coef[active]).sum()
        length, target = 1.0, coef[active]
        while reached > objective + 1e-12 * abs(objective) and length > 1e-6:
            length /= 2
            scores -= length * step
            coef[active] = before + length * (target - before)
            reached = _mean_loss(y, scores, loss) + penalty * np.abs(coef[active]).sum()
        objective = reached
        intercept += length * shift
        largest = weight.sum() * (length * shift) ** 2
        for a in range(len(active)):
            largest = max(largest, curvature[a] * (coef[active[a]] - before[a]) ** 2)
        if still and largest < threshold:
            return intercept, True
    return intercept, False


@compiled(inline=True)
def _errors(y: Float, scores: Float, errors: Float, loss: int) -> None:
    """Set the negative derivative of the mean loss by each score."""
    for i in range(len(y)):
        fitted = 1 / (1 + np.exp(-scores[i])) if loss == LOGISTIC else scores[i]
        errors[i] = (y[i] - fitted) / len(y)


@compiled()
def slopes_at(rows: Float, y: Float, scores: Float, loss: int) -> Float:
    """Return the slope of the mean loss, downward, by each coefficient, shape (P,)."""
    errors, slopes = np.empty(len(y)), np.empty(len(rows))
    _errors(y, scores, errors, loss)
    for j in range(len(rows)):
        slopes[j] = _dot(rows[j], errors)
    return slopes


@compiled(inline=True)
def _join(
    candidates: Flags, is_active: Flags, rows: Float, errors: Float, slopes: Float, penalty: float
) -> int:
    """Make candidates active that violate their condition; return how many."""
    n_joined = 0
    for j in range(len(rows)):
        if candidates[j] and not is_active[j]:
            slopes[j] = _dot(rows[j], errors)
            if abs(slopes[j]) > penalty:
                is_active[j] = True
                n_joined += 1
    return n_joined


@compiled()
def follow_path(
    rows: Float, y: Float, penalties: Float, tolerance: float, loss: int
) -> tuple[Float, Float, Float, bool]:
    """Solve for each penalty, until glmnet's rules end the path.

    Parameters
    ----------
    rows : ndarray of float64, shape (P, N)
        Standardized features, a row each: mean 0, mean square 1; constant features are all 0.
    y : ndarray of float64, shape (N,)
        Target; for the logistic loss 0 or 1, else with mean 0.
    penalties : ndarray of float64, shape (L,)
        Falling; the first is the least that keeps all coefficients at zero.
    tolerance : float
        Work on a penalty ends when no step changes the loss by more than this share of the null
        loss, as measured by curvature times squared step.
    loss : int
        `SQUARED` or `LOGISTIC`.

    Returns
    -------
    coefs : ndarray of float64, shape (K, P)
        K ≤ L solutions for standardized features.
    intercepts : ndarray of float64, shape (K,)
    explained : ndarray of float64, shape (K,)
        Share of the null deviance that is explained.
    whole : bool
        Whether all penalties up to the end of the path were solved.

    Examples
    --------
    One feature that is the target itself: the coefficient is 1 - λ.

    >>> y = np.array([-1.0, 1.0])
    >>> follow_path(y[None], y, np.array([1.0, 0.25]), 1e-12, SQUARED)[0].round(6).tolist()
    [[0.0], [0.75]]
    """
    n_features, n_units = rows.shape
    mean = y.mean()
    intercept = np.log(mean / (1 - mean)) if loss == LOGISTIC else mean
    units, coef = np.empty((2, n_units)), np.zeros(n_features)
    units[0], units[1] = y, intercept
    scores = units[1]
    null_loss = _mean_loss(y, scores, loss)
    coefs = np.zeros((len(penalties), n_features))
    intercepts, explained = np.full(len(penalties), intercept), np.zeros(len(penalties))
    slopes = slopes_at(rows, y, scores, loss)
    buffer, errors = np.empty(rows.shape), np.empty(n_units)
    everything = np.ones(n_features, dtype=np.bool_)
    for k in range(1, len(penalties)):
        penalty = penalties[k]
        is_active = (np.abs(slopes) >= penalty) | (coef != 0)
        strong = np.abs(slopes) >= 2 * penalty - penalties[k - 1]
        limits = (penalty, tolerance * null_loss)
        while True:
            active = np.flatnonzero(is_active)
            shift, still = _fit_active(rows, units, active, coef, buffer, limits, loss)
            intercept += shift
            if not still:
                return coefs[:k], intercepts[:k], explained[:k], False
            _errors(y, scores, errors, loss)
            if _join(strong, is_active, rows, errors, slopes, penalty) > 0:
                continue
            if _join(everything, is_active, rows, errors, slopes, penalty) == 0:
                break
        for j in np.flatnonzero(is_active):
            slopes[j] = _dot(rows[j], errors)
        coefs[k], intercepts[k] = coef, intercept
        explained[k] = 1 - _mean_loss(y, scores, loss) / null_loss
        gain = explained[k] - explained[k - 1]
        least = _LEAST_GAIN if loss == LOGISTIC else _LEAST_GAIN * explained[k]
        if k + 1 >= _FEWEST_PENALTIES and (gain < least or explained[k] > _MOST_EXPLAINED):
            return coefs[: k + 1], intercepts[: k + 1], explained[: k + 1], True
    return coefs, intercepts, explained, True
