"""The top eigenvectors of large symmetric matrices, several side by side.

SciPy's `scipy.linalg.eigh` computes the same by the same routine of LAPACK, but holds Python's
lock meanwhile, so that a second core has nothing to do. Called by its address, which SciPy
publishes for compiled code (`scipy.linalg.cython_lapack`), the routine runs without the lock.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from numba.extending import get_cython_function_address
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

# All arguments of LAPACK are pointers: three letters, numbers and arrays.
_N_ARGUMENTS = 21


def top_eigenvectors(gram: Matrix, count: int) -> tuple[Matrix, Matrix]:
    """Return the largest eigenvalues of a symmetric matrix and their eigenvectors.

    Parameters
    ----------
    gram : float64 (n, n)
        Symmetric and finite; it is overwritten.
    count : int
        How many, 1 … n.

    Returns
    -------
    values : float64 (count,)
        Largest first.
    vectors : float64 (n, count)
        Orthonormal columns.

    Raises
    ------
    ValueError
        The matrix is not square, or `count` is out of range.
    numpy.linalg.LinAlgError
        LAPACK did not converge.

    Examples
    --------
    >>> values, vectors = top_eigenvectors(np.diag([1.0, 5.0, 3.0]), 2)
    >>> values.tolist(), np.abs(vectors[:, 0]).tolist()
    ([5.0, 3.0], [0.0, 1.0, 0.0])
    """
    n = len(gram)
    if gram.shape != (n, n) or not 1 <= count <= n:
        raise ValueError(f"{count} eigenvectors of an array of shape {gram.shape}")
    a = np.ascontiguousarray(gram, dtype=np.float64)  # rows or columns first is all the same
    values, vectors = np.empty(n), np.empty((count, n))
    supports = np.empty(2 * count, dtype=np.int32)
    work, iwork = np.empty(1), np.empty(1, dtype=np.int32)
    for lengths in ((-1, -1), None):  # first LAPACK says how much room it needs
        if lengths is None:
            lengths = int(work[0]), int(iwork[0])
            work, iwork = np.empty(lengths[0]), np.empty(lengths[1], dtype=np.int32)
        info, found = ctypes.c_int(), ctypes.c_int()
        _dsyevr()(
            *(ctypes.byref(ctypes.c_char(letter)) for letter in (b"V", b"I", b"L")),
            _int(n), _at(a), _int(n), _float(0), _float(0), _int(n - count + 1), _int(n),
            _float(0), ctypes.byref(found), _at(values), _at(vectors), _int(n), _at(supports),
            _at(work), _int(lengths[0]), _at(iwork), _int(lengths[1]), ctypes.byref(info),
        )  # fmt: skip
    if info.value != 0 or found.value != count:
        raise np.linalg.LinAlgError(f"dsyevr ended with {info.value} and {found.value} vectors")
    return values[:count][::-1], np.ascontiguousarray(vectors[::-1].T)


@cache
def _dsyevr() -> Any:
    address = get_cython_function_address("scipy.linalg.cython_lapack", "dsyevr")
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * _N_ARGUMENTS)(address)


def _int(value: int) -> Any:
    return ctypes.byref(ctypes.c_int(value))


def _float(value: float) -> Any:
    return ctypes.byref(ctypes.c_double(value))


def _at(array: NDArray[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)
