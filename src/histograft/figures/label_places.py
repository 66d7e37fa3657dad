"""Labels in a column: each as near to its point as it can be, and none over another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from histograft.core.errors import InputError


def spread(wanted: Sequence[float], step: float, low: float, high: float) -> np.ndarray:
    r"""Move places apart until neighbors are a step apart.

    Parameters
    ----------
    wanted : sequence of float, length N
        Where labels would like to be, ascending.
    step : float
        Least distance of neighbors, above 0.
    low, high : float
        Range that no label leaves.

    Returns
    -------
    ndarray of float64, shape (N,)
        Ascending places :math:`p` with the least :math:`\sum_i (p_i - w_i)^2` for which
        :math:`p_{i+1} - p_i \ge` step: with :math:`q_i = p_i - i \cdot` step a monotone fit, found
        by pooling neighbors that are in the wrong order.

    Raises
    ------
    InputError
        The range has no room for so many labels.

    Examples
    --------
    >>> spread([0.2, 0.5, 0.5], 0.1, 0, 1).round(3).tolist()
    [0.2, 0.45, 0.55]
    """
    n = len(wanted)
    room = high - low - (n - 1) * step
    if n and room < -1e-9 * step:
        raise InputError(f"{n} labels do not fit into {(high - low) / step:.1f} lines")
    pools: list[tuple[float, int]] = []  # sum and number of what stands together
    for i, place in enumerate(wanted):
        total, count = place - i * step, 1
        while pools and pools[-1][0] * count >= total * pools[-1][1]:
            before = pools.pop()
            total, count = total + before[0], count + before[1]
        pools.append((total, count))
    means = [total / count for total, count in pools]
    fitted = np.repeat(np.array(means, dtype=np.float64), [count for _, count in pools])
    return np.clip(fitted, low, low + max(room, 0.0)) + step * np.arange(n)
