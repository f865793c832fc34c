"""Linear algebra in loops equals LAPACK's up to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.lax.linalg import cholesky, triangular_solve

from infer.numerics.matrices import cholesky_in_loop, product_in_loop, triangular_solve_in_loop

SIZES = [1, 2, 5, 16, 30, 41]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
EITHER = [False, True]


def close(found, expected):
    assert found.dtype == expected.dtype
    tolerance = 50 * np.finfo(expected.dtype).eps
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, rtol=0, atol=tolerance)


def triangle(rng, dtype, *shape):
    off = rng.normal(size=(*shape, shape[-1])) / shape[-1]
    return jnp.asarray(off + 2 * np.eye(shape[-1]), dtype)


@DTYPES
@pytest.mark.parametrize("size", SIZES)
def test_cholesky_factors_equal_those_of_lapack(size, dtype):
    root = np.random.default_rng(size).normal(size=(size, size))
    matrix = jnp.asarray(root @ root.T + size * np.eye(size), dtype)
    close(jax.jit(cholesky_in_loop)(matrix), cholesky(matrix))


def test_cholesky_reads_only_the_lower_triangle():
    matrix = jnp.asarray([[4.0, 99.0], [2.0, 5.0]])
    close(cholesky_in_loop(matrix), cholesky(matrix, symmetrize_input=False))


@pytest.mark.parametrize("last", [-1.0, 0.0, np.nan])
def test_cholesky_of_a_matrix_that_is_not_positive_definite_is_nan(last):
    """LAPACK does the same, except for a NaN, which stays in the last entry."""
    matrix = jnp.diag(jnp.asarray([1.0, 2.0, last]))
    assert np.isnan(cholesky(matrix)[np.tril_indices(3)]).all() or np.isnan(last)
    assert np.isnan(cholesky_in_loop(matrix)).all()


def in_loop_and_by_lapack(a, b, **options):
    @jax.jit
    def solve(a, b):
        return triangular_solve_in_loop(a, b, **options), triangular_solve(a, b, **options)

    return solve(a, b)


@DTYPES
@pytest.mark.parametrize("unit_diagonal", EITHER)
@pytest.mark.parametrize("transpose_a", EITHER)
@pytest.mark.parametrize("lower", EITHER)
@pytest.mark.parametrize("left_side", EITHER)
def test_triangular_solutions_equal_those_of_lapack(
    left_side, lower, transpose_a, unit_diagonal, dtype
):
    """The other triangle is not read, nor is the diagonal if `unit_diagonal` is true."""
    rng = np.random.default_rng(4)
    options = {
        "left_side": left_side,
        "lower": lower,
        "transpose_a": transpose_a,
        "unit_diagonal": unit_diagonal,
    }
    for size, width in [(1, 1), (5, 3), (20, 20), (41, 2)]:
        shape = (size, width) if left_side else (width, size)
        a, b = triangle(rng, dtype, size), jnp.asarray(rng.normal(size=shape), dtype)
        close(*in_loop_and_by_lapack(a, b, **options))


def test_batches_equal_those_of_lapack():
    rng = np.random.default_rng(5)
    a, b = triangle(rng, float, 2, 3, 4), jnp.asarray(rng.normal(size=(2, 3, 4, 2)))
    options = {"left_side": True, "lower": True, "transpose_a": False, "unit_diagonal": False}
    close(*in_loop_and_by_lapack(a, b, **options))
    matrices = a @ a.mT
    close(cholesky_in_loop(matrices), cholesky(matrices))


@DTYPES
@pytest.mark.parametrize("shape", [(1, 4, 1), (3, 40, 5), (5, 40, 3), (33, 33, 33)])
def test_products_equal_those_of_jax(shape, dtype):
    rng = np.random.default_rng(6)
    m, k, n = shape
    left, right = (jnp.asarray(rng.normal(size=s), dtype) for s in [(m, k), (k, n)])
    close(product_in_loop((((1,), (0,)), ((), ())), left, right), left @ right)
    close(product_in_loop((((1,), (1,)), ((), ())), left, right.T), left @ right)


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
