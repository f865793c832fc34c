"""Linear algebra in loops equals LAPACK's up to rounding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax.linalg import cholesky
from scipy.linalg import solve_triangular

from infer.numerics.matrices import cholesky_in_loop, product_in_loop, triangular_solve_in_loop

SIZES = [1, 2, 5, 16, 30, 41]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EITHER = [False, True]


def close(found, expected):
    # On the host, where arithmetic compiles nothing.
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == expected.dtype
    tolerance = 50 * np.finfo(expected.dtype).eps
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)


def triangle(rng, dtype, *shape):
    off = rng.normal(size=(*shape, shape[-1])) / shape[-1]
    return (off + 2 * np.eye(shape[-1])).astype(dtype)


@DTYPES
@pytest.mark.parametrize("size", SIZES)
def test_cholesky_factors_equal_those_of_lapack(size, dtype):
    root = np.random.default_rng(size).normal(size=(size, size))
    matrix = (root @ root.T + size * np.eye(size)).astype(dtype)
    close(jax.jit(cholesky_in_loop)(matrix), np.linalg.cholesky(matrix))


def test_cholesky_reads_only_the_lower_triangle():
    matrix = np.array([[4.0, 99.0], [2.0, 5.0]])
    close(jax.jit(cholesky_in_loop)(matrix), np.linalg.cholesky(matrix))


@pytest.mark.parametrize("last", [-1.0, 0.0, np.nan])
def test_cholesky_of_a_matrix_that_is_not_positive_definite_is_nan(last):
    """LAPACK does the same, except for a NaN, which stays in the last entry."""
    matrix = jnp.asarray(np.diag([1.0, 2.0, last]))
    assert np.isnan(cholesky(matrix)[np.tril_indices(3)]).all() or np.isnan(last)
    assert np.isnan(jax.jit(cholesky_in_loop)(matrix)).all()


@pytest.mark.parametrize(
    ("dtype", "sizes"),
    [(np.float64, [(1, 1), (20, 20), (41, 2)]), (np.float32, [(5, 3), (41, 2)])],
    ids=["float64", "float32"],
)
@pytest.mark.parametrize("unit_diagonal", EITHER)
@pytest.mark.parametrize("transpose_a", EITHER)
@pytest.mark.parametrize("lower", EITHER)
@pytest.mark.parametrize("left_side", EITHER)
def test_triangular_solutions_equal_those_of_lapack(
    left_side, lower, transpose_a, unit_diagonal, dtype, sizes
):
    """The other triangle is not read, nor is the diagonal if `unit_diagonal` is true."""
    rng = np.random.default_rng(4)
    options = {
        "left_side": left_side,
        "lower": lower,
        "transpose_a": transpose_a,
        "unit_diagonal": unit_diagonal,
    }
    pairs = []
    for size, width in sizes:
        shape = (size, width) if left_side else (width, size)
        pairs += [(triangle(rng, dtype, size), rng.normal(size=shape).astype(dtype))]
    # One program for all sizes.
    solve = jax.jit(lambda pairs: [triangular_solve_in_loop(*pair, **options) for pair in pairs])
    for (a, b), found in zip(pairs, solve(pairs), strict=True):
        right = b if left_side else b.T
        expected = solve_triangular(
            a if left_side else a.T,
            right,
            trans=int(transpose_a),
            lower=lower is left_side,
            unit_diagonal=unit_diagonal,
        )
        close(found, expected if left_side else expected.T)


def test_batches_equal_those_of_lapack():
    rng = np.random.default_rng(5)
    a, b = triangle(rng, float, 2, 3, 4), rng.normal(size=(2, 3, 4, 2))
    options = {"left_side": True, "lower": True, "transpose_a": False, "unit_diagonal": False}
    close(
        jax.jit(partial(triangular_solve_in_loop, **options))(a, b), np.linalg.solve(np.tril(a), b)
    )
    matrices = a @ np.swapaxes(a, -1, -2)
    close(jax.jit(cholesky_in_loop)(matrices), np.linalg.cholesky(matrices))


@DTYPES
@pytest.mark.parametrize("shape", [(1, 4, 1), (3, 40, 5), (5, 43, 3), (33, 34, 33)])
def test_products_equal_those_of_jax(shape, dtype):
    rng = np.random.default_rng(6)
    m, k, n = shape
    left, right = (rng.normal(size=s).astype(dtype) for s in [(m, k), (k, n)])

    @jax.jit
    def either_way(left, right):
        return (
            product_in_loop((((1,), (0,)), ((), ())), left, right),
            product_in_loop((((1,), (1,)), ((), ())), left, right.T),
        )

    for found in either_way(left, right):
        close(found, left @ right)


def test_products_over_any_axes_equal_those_of_jax():
    rng = np.random.default_rng(7)
    left, right = jnp.asarray(rng.normal(size=(4, 2, 3, 5))), rng.normal(size=(5, 6, 3, 2))
    for dimensions in [
        (((1, 2), (3, 2)), ((), ())),
        (((3,), (0,)), ((2, 1), (2, 3))),
        (((2,), (2,)), ((1,), (3,))),
    ]:
        expected = jax.lax.dot_general(left, right, dimensions)
        close(product_in_loop(dimensions, left, jnp.asarray(right)), expected)
