"""LAPACK called by its address against SciPy, alone and side by side."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from histograft.learning.eigenvectors import top_eigenvectors


def gram(seed, n, rank):
    rows = np.random.default_rng(seed).normal(size=(rank, n))
    return rows.T @ rows


@given(st.integers(0, 99), st.integers(1, 30), st.integers(1, 30), st.data())
def test_it_is_what_scipy_computes(seed, n, rank, data):
    matrix = gram(seed, n, rank)
    count = data.draw(st.integers(1, n))
    values, vectors = top_eigenvectors(matrix.copy(), count)
    scale = np.trace(matrix) + 1e-12
    expected = scipy.linalg.eigh(matrix, eigvals_only=True)[::-1][:count]
    np.testing.assert_allclose(values, expected, atol=1e-12 * scale)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(count), atol=1e-10)
    np.testing.assert_allclose(matrix @ vectors, vectors * values, atol=1e-11 * scale)


def test_threads_do_not_disturb_each_other():
    matrices = [gram(seed, 150, 200) for seed in range(8)]
    alone = [top_eigenvectors(matrix.copy(), 20)[1] for matrix in matrices]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda m: top_eigenvectors(m.copy(), 20)[1], matrices))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(("shape", "count"), [((3, 4), 1), ((3, 3), 0), ((3, 3), 4)])
def test_what_makes_no_sense_is_refused_before_lapack(shape, count):
    with pytest.raises(ValueError, match="eigenvectors of an array"):
        top_eigenvectors(np.eye(*shape), count)
