"""LU factors and sorting in loops equal those of JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.numerics.pivoting import lu_in_loop, sort_in_loop

KEYS = np.asarray([[3, np.nan, -0.0, 0.0, np.inf, 3], [-np.inf, 2, 2, np.nan, np.nan, 1]])


@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (2, 6, 4), (4, 6), (20, 20)])
def test_lu_factors_equal_those_of_lapack(shape):
    matrix = np.random.default_rng(0).normal(size=shape)
    expected = jax.lax.linalg.lu(jnp.asarray(matrix))
    for own, other in zip(jax.jit(lu_in_loop)(matrix), expected, strict=True):
        assert own.dtype == other.dtype
        np.testing.assert_allclose(own, other, rtol=1e-10, atol=1e-13)


def test_lu_factors_of_a_singular_matrix_have_a_zero_pivot():
    matrix = np.asarray([[1.0, 2, 3], [2, 4, 6], [0, 0, 5]])
    expected = jax.lax.linalg.lu(jnp.asarray(matrix))
    for own, other in zip(lu_in_loop(jnp.asarray(matrix)), expected, strict=True):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("dimension", [0, 1])
@pytest.mark.parametrize("kind", [float, np.int32, bool])
def test_entries_are_sorted_as_by_jax(dimension, kind):
    keys = jnp.asarray(KEYS if kind is float else np.nan_to_num(KEYS, posinf=9, neginf=-9), kind)
    others = jnp.arange(keys.size).reshape(keys.shape)
    expected = jax.lax.sort((keys, others), dimension=dimension, num_keys=1)
    for own, other in zip(sort_in_loop(keys, others, dimension=dimension), expected, strict=True):
        assert own.dtype == other.dtype
        np.testing.assert_array_equal(own, other)
