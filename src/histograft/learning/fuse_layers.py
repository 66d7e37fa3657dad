"""One layer of several networks as one layer: the algebra of weight distillation.

Matrices are layers that were unfolded to one row for each output channel, float64 (n_o, k) with
k = n_i × height × width. All matrices of a layer have one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, get_args

import numpy as np

from histograft.learning.eigenvectors import Matrix, top_eigenvectors

Mode = Literal[
    "paper",
    "paper-normalized",
    "average",
    "aligned-average",
    "basis",
    "first-only",
    "random-subspace",
]
MODES: tuple[Mode, ...] = get_args(Mode)
AVERAGES: tuple[Mode, ...] = ("average", "aligned-average")
# What they make is the first network's filters, so that the order of networks matters.
FROM_FIRST: tuple[Mode, ...] = ("paper", "paper-normalized", "first-only", "random-subspace")


class Kept(Protocol):
    """What a mode keeps of each network's rows."""

    def project(self, index: int) -> Matrix:
        """Return the rows of network `index`, projected on what is kept, (n_o, k)."""
        ...


class Whole:
    """Everything is kept.

    Parameters
    ----------
    matrices : sequence of float64 (n_o, k)
        One for each network.
    """

    def __init__(self, matrices: Sequence[Matrix]) -> None:
        self._matrices = matrices

    def project(self, index: int) -> Matrix:
        """Return the rows of network `index` as they are."""
        return self._matrices[index].copy()


class TopSubspace:
    """The top right-singular subspace of stacked matrices.

    With the stack S = UΣVᵀ of all rows of all matrices, the projection of rows W on the first
    r right-singular vectors is W V_r V_rᵀ. U_r or V_r are eigenvectors of S Sᵀ or SᵀS, whichever
    is smaller, in float64.

    Parameters
    ----------
    matrices : sequence of float64 (n_o, k)
        One for each network.
    rank : int
        r, at least 1, at most the smaller side of the stack.

    Examples
    --------
    >>> a, b = np.array([[2.0, 0, 0]]), np.array([[0.0, 1, 0]])
    >>> subspace = TopSubspace([a, b], rank=1)
    >>> subspace.project(0).tolist(), np.abs(subspace.project(1)).tolist()
    ([[2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]])
    """

    def __init__(self, matrices: Sequence[Matrix], rank: int) -> None:
        self._matrices = matrices
        self._n_rows = len(matrices[0])
        stack = np.concatenate(matrices)
        self._left: Matrix | None = None
        if stack.shape[0] < stack.shape[1]:
            _, self._left = top_eigenvectors(stack @ stack.T, rank)
            self.factor = self._left.T @ stack
        else:
            values, self._right = top_eigenvectors(stack.T @ stack, rank)
            self.factor = np.sqrt(np.maximum(values, 0.0))[:, None] * self._right.T

    factor: Matrix
    """Σ_r V_rᵀ, (r, k), largest singular value first; the sign of a row is arbitrary."""

    def project(self, index: int) -> Matrix:
        """Return W V_r V_rᵀ for the rows of network `index`; no sign matters in it."""
        if self._left is None:
            return (self._matrices[index] @ self._right) @ self._right.T
        # The rows of U_r that belong to this network, as the paper writes it: U′ΣVᵀ.
        rows = self._left[index * self._n_rows : (index + 1) * self._n_rows]
        return rows @ self.factor


class RandomSubspace:
    """A subspace that no network had a say in, the control of `TopSubspace`.

    Parameters
    ----------
    matrices : sequence of float64 (n_o, k)
        One for each network.
    rank : int
        Its dimension, at most k.
    rng : numpy.random.Generator
        Draws it, uniform over all subspaces of this dimension.
    """

    def __init__(self, matrices: Sequence[Matrix], rank: int, rng: np.random.Generator) -> None:
        self._matrices = matrices
        self._basis, _ = np.linalg.qr(rng.normal(size=(matrices[0].shape[1], rank)))

    def project(self, index: int) -> Matrix:
        """Return the rows of network `index`, projected."""
        rows: Matrix = (self._matrices[index] @ self._basis) @ self._basis.T
        return rows


class Scaled:
    """What is kept of matrices that were brought to a common norm, at their own norm.

    Parameters
    ----------
    kept : Kept
        Of the matrices divided by their norms.
    norms : sequence of float
        The norms.
    """

    def __init__(self, kept: Kept, norms: Sequence[float]) -> None:
        self._kept = kept
        self._norms = norms

    def project(self, index: int) -> Matrix:
        """Return the rows of network `index`, projected."""
        return self._norms[index] * self._kept.project(index)


def fuse_matrices(
    matrices: Sequence[Matrix], mode: Mode, rng: np.random.Generator
) -> tuple[Matrix, Kept | None]:
    r"""Make one layer of the same layer of several networks.

    Parameters
    ----------
    matrices : sequence of float64 (n_o, k)
        W_1 … W_m, of each network; for ``aligned-average`` with matched channels.
    mode : str
        See `histograft.learning.fuse.fuse_state_dicts`.
    rng : numpy.random.Generator
        For ``random-subspace``.

    Returns
    -------
    fused : float64 (n_o, k)
        The layer.
    kept : Kept or None
        What the mode keeps of each network; None for averages, which keep no subspace.

    Notes
    -----
    With S = UΣVᵀ the stack of all W_i and r = min(n_o, k):

    * ``paper``: W′ = W_1 V_r V_rᵀ, which is the first n_o rows of U and columns of U and rows of
      Σ, multiplied out (Zhang et al. 2022, section 2.5). Where k ≤ n_o, V_r V_rᵀ = 1 and W′ = W_1.
    * ``paper-normalized``: V_r of the stack of W_i / ‖W_i‖, W′ = W_1 V_r V_rᵀ.
    * ``basis``: W′ = R Σ_r V_rᵀ / √m, R with orthonormal columns such that ‖W′ - mean(W_i)‖ is
      least (Procrustes: R = PQᵀ of the SVD PΛQᵀ of mean(W_i) V_r Σ_r). Each W_i equal gives W_i.
    * ``random-subspace``: W′ = W_1 QQᵀ with r random orthonormal columns Q.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> a, b = np.array([[2.0, 0, 0]]), np.array([[1.0, 3, 0]])
    >>> fuse_matrices([a, b], "average", rng)[0].tolist()
    [[1.5, 1.5, 0.0]]
    """
    n_rows, n_columns = matrices[0].shape
    if mode in AVERAGES:
        return _mean(matrices), None
    whole = mode == "first-only" or (mode != "basis" and n_columns <= n_rows)
    if whole:
        return matrices[0].copy(), Whole(matrices)
    rank = min(n_rows, n_columns)
    if mode == "basis":
        subspace = TopSubspace(matrices, rank)
        return _turned_to_mean(subspace.factor, matrices), subspace
    kept: Kept
    if mode == "random-subspace":
        kept = RandomSubspace(matrices, rank, rng)
    elif mode == "paper-normalized":
        norms = [float(np.linalg.norm(matrix)) or 1.0 for matrix in matrices]
        scaled = [matrix / norm for matrix, norm in zip(matrices, norms, strict=True)]
        kept = Scaled(TopSubspace(scaled, rank), norms)
    else:
        kept = TopSubspace(matrices, rank)
    return kept.project(0), kept


def _turned_to_mean(factor: Matrix, matrices: Sequence[Matrix]) -> Matrix:
    left, _, right = np.linalg.svd(_mean(matrices) @ factor.T, full_matrices=False)
    turned: Matrix = (left @ right) @ factor / np.sqrt(len(matrices))
    return turned


def _mean(matrices: Sequence[Matrix]) -> Matrix:
    total = matrices[0].copy()
    for matrix in matrices[1:]:
        total += matrix
    return total / len(matrices)
