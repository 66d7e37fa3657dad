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


@compiled()
def _solve_positive(matrix: Float, right: Float) -> None:
    """Solve ``matrix @ x = right`` in place by Cholesky's decomposition of the lower triangle.

    Where a column repeats earlier ones up to rounding, its x is 0.
    """
    size = len(right)
    for m in range(size):
        row = matrix[m]
        for k in range(m):
            row[k] = (row[k] - _dot(row[:k], matrix[k, :k])) / matrix[k, k]
        rest = row[m] - _dot(row[:m], row[:m])
        row[m] = np.sqrt(rest) if rest > 1e-13 * row[m] else 1e100
        right[m] = (right[m] - _dot(row[:m], right[:m])) / row[m]
    for m in range(size - 1, -1, -1):
        right[m] /= matrix[m, m]
        for k in range(m):
            right[k] -= matrix[m, k] * right[m]


@compiled(inline=True)
def _sweep(
    rows: Float, weighted: Float, curvature: Float, active: Indices, point: Float, fit: Float,
    penalty: float,
) -> float:  # fmt: skip
    """Improve the intercept and each active coefficient once.

    Returns the largest curvature times squared change.
    """
    weight, residual = fit[0], fit[1]
    total_weight = weight.sum()
    shift = _dot(weight, residual) / total_weight
    residual -= shift
    point[-1] += shift
    largest = total_weight * shift * shift
    for a in range(len(active)):
        slope = _dot(weighted[a], residual) + curvature[a] * point[a]
        change = _soften(slope, penalty) / curvature[a] - point[a]
        if change != 0:
            point[a] += change
            row = rows[active[a]]
            for i in range(len(residual)):
                residual[i] -= change * row[i]
            largest = max(largest, curvature[a] * change * change)
    return float(largest)


@compiled(inline=True)
def _quadratic(weight: Float, residual: Float, point: Float, penalty: float) -> float:
    total = 0.0
    for i in range(len(residual)):
        total += weight[i] * residual[i] * residual[i] / 2
    for a in range(len(point) - 1):
        total += penalty * abs(point[a])
    return float(total)


@compiled()
def _extrapolate(history: Float, point: Float, fit: Float, penalty: float) -> None:
    """Go to the mean of recent points that moves least, if the loss is lower there.

    ``history`` holds points and the residuals that belong to them, side by side.
    """
    n_points, size, n_units = len(history) - 1, len(point), fit.shape[1]
    products, shares, total = np.empty((n_points, n_points)), np.ones(n_points), 0.0
    for k in range(n_points):
        for m in range(k + 1):
            products[k, m] = 0.0
            for i in range(size):
                step = history[k + 1, i] - history[k, i]
                products[k, m] += step * (history[m + 1, i] - history[m, i])
        total += products[k, k]
    for k in range(n_points):
        products[k, k] += 1e-10 * total + 1e-300
    _solve_positive(products, shares)
    mean, total = np.zeros(size + n_units), shares.sum()
    for k in range(n_points):
        for i in range(size + n_units):
            mean[i] += shares[k] / total * history[k + 1, i]
    now = _quadratic(fit[0], fit[1], point, penalty)
    if _quadratic(fit[0], mean[size:], mean[:size], penalty) < now:
        point[:] = mean[:size]
        fit[1] = mean[size:]


@compiled()
def _jump(
    rows: Float, weighted: Float, active: Indices, point: Float, fit: Float, penalty: float
) -> None:
    """Go to the minimum for the present signs, or to the first coefficient that becomes zero."""
    weight, residual = fit[0], fit[1]
    chosen = np.flatnonzero(point)
    # The intercept comes last: a feature of ones, free of penalty.
    chosen = chosen[chosen < len(active)]
    size = len(chosen) + 1
    matrix, change = np.empty((size, size)), np.empty(size)
    for m in range(size - 1):
        row = weighted[chosen[m]]
        for k in range(m + 1):
            matrix[m, k] = _dot(row, rows[active[chosen[k]]])
        matrix[size - 1, m] = row.sum()
        change[m] = _dot(row, residual) - penalty * np.sign(point[chosen[m]])
    matrix[size - 1, size - 1] = weight.sum()
    change[size - 1] = _dot(weight, residual)
    _solve_positive(matrix, change)
    length, first = 1.0, -1
    for m in range(size - 1):
        if point[chosen[m]] * change[m] < 0 and -point[chosen[m]] / change[m] < length:
            length, first = -point[chosen[m]] / change[m], m
    for m in range(size - 1):
        a = chosen[m]
        point[a] = point[a] + length * change[m] if m != first else 0.0
        row = rows[active[a]]
        for i in range(len(residual)):
            residual[i] -= length * change[m] * row[i]
    point[-1] += length * change[size - 1]
    residual -= length * change[size - 1]


@compiled()
def _sweep_until_still(
    rows: Float, weighted: Float, curvature: Float, active: Indices, point: Float, fit: Float,
    limits: tuple[float, float],
) -> bool:  # fmt: skip
    """Solve the quadratic problem over the active features; return whether all came to rest.

    ``point`` holds their coefficients and the intercept, ``fit`` weights and residuals. After some
    sweeps their trend is followed (Bertrand and Massias 2021, "Anderson acceleration of coordinate
    descent", PMLR 130:1288-1296); after many, the normal equations are solved.
    """
    penalty, threshold = limits
    size, n_kept = len(point), 0
    history = np.empty((_MEMORY + 1, size + fit.shape[1]))
    for n_sweeps in range(1, _MOST_SWEEPS + 1):
        if _sweep(rows, weighted, curvature, active, point, fit, penalty) < threshold:
            return True
        if n_sweeps % _PATIENCE == 0:
            _jump(rows, weighted, active, point, fit, penalty)
            n_kept = 0
            continue
        history[n_kept, :size], history[n_kept, size:] = point, fit[1]
        n_kept += 1
        if n_kept > _MEMORY:
            _extrapolate(history, point, fit, penalty)
            n_kept = 0
    return False


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


@compiled(inline=True)
def _objective(units: Float, point: Float, penalty: float, loss: int) -> float:
    total = _mean_loss(units[0], units[1], loss)
    for a in range(len(point) - 1):
        total += penalty * abs(point[a])
    return total


@compiled()
def _fit_active(
    rows: Float, units: Float, active: Indices, point: Float, buffer: Float,
    limits: tuple[float, float], loss: int,
) -> bool:  # fmt: skip
    """Minimize over the active features from `point`; return whether all came to rest.

    ``point`` holds their coefficients and the intercept, ``units`` targets and scores.
    """
    scores, n_units = units[1], units.shape[1]
    fit, curvature = np.empty((2, n_units)), np.empty(len(point))
    objective = _objective(units, point, limits[0], loss)
    for _ in range(_MOST_APPROXIMATIONS):
        _approximate(units[0], scores, fit[0], fit[1], loss)
        curvature[-1] = fit[0].sum()
        for a in range(len(active)):
            row = rows[active[a]]
            for i in range(n_units):
                buffer[a, i] = fit[0, i] * row[i]
            curvature[a] = _dot(buffer[a], row)
        before, start = point.copy(), fit[1].copy()
        still = _sweep_until_still(rows, buffer, curvature, active, point, fit, limits)
        target, step = point.copy(), start - fit[1]
        scores += step
        if loss == SQUARED:
            return still
        # The quadratic can promise too much where probabilities are near 0 or 1.
        reached, length = _objective(units, point, limits[0], loss), 1.0
        while reached > objective + 1e-12 * abs(objective) and length > 1e-6:
            length /= 2
            scores -= length * step
            point[:] = before + length * (target - before)
            reached = _objective(units, point, limits[0], loss)
        objective, largest = reached, 0.0
        for a in range(len(point)):
            largest = max(largest, curvature[a] * (point[a] - before[a]) ** 2)
        if still and largest < limits[1]:
            return True
    return False


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
            point = np.empty(len(active) + 1)
            for a in range(len(active)):
                point[a] = coef[active[a]]
            point[-1] = intercept
            still = _fit_active(rows, units, active, point, buffer, limits, loss)
            intercept = point[-1]
            for a in range(len(active)):
                coef[active[a]] = point[a]
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
