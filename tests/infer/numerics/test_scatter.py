"""A scatter in a loop equals JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.lax import GatherScatterMode, ScatterDimensionNumbers

from infer.numerics.scatter import scatter_in_loop

MODES = ["clip", "drop", "promise_in_bounds"]
KINDS = {
    jax.lax.scatter: lambda _, new: new,
    jax.lax.scatter_add: jax.lax.add,
    jax.lax.scatter_sub: jax.lax.sub,
    jax.lax.scatter_mul: jax.lax.mul,
    jax.lax.scatter_min: jax.lax.min,
    jax.lax.scatter_max: jax.lax.max,
}
ROWS_OF_A_TABLE = ScatterDimensionNumbers((1,), (0,), (0,))
ELEMENTS = ScatterDimensionNumbers((), (0,), (0,))


def agree(scatter, dimensions, operand, indices, updates, mode):
    agree_all([scatter], dimensions, operand, indices, updates, mode)


def agree_all(scatters, dimensions, operand, indices, updates, mode):
    """Compare several kinds of scatters in one program."""
    mode = GatherScatterMode.from_any(mode)

    @jax.jit
    def both(operand, indices, updates):
        # Some of XLA's emitters read narrow indices as signed, so the reference uses wide ones.
        wide = indices.astype(np.int64)
        return [
            (
                scatter_in_loop(KINDS[scatter], dimensions, mode, operand, indices, updates),
                scatter(operand, wide, updates, dimensions, mode=mode),
            )
            for scatter in scatters
        ]

    for found, expected in both(operand, indices, updates):
        assert found.dtype == expected.dtype
        close(found, expected)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 20), st.integers(1, 5), st.sampled_from(MODES), st.integers(0, 1000))
def test_sums_by_group_equal_those_of_jax(rows, groups, mode, seed):
    """Out-of-range indices are dropped or clipped; XLA also drops them if the promise is broken."""
    rng = np.random.default_rng(seed)
    indices = rng.integers(-3, groups + 3, (rows, 1)).astype(rng.choice(["int32", "int64"]))
    updates = rng.normal(size=rows)
    agree(jax.lax.scatter_add, ELEMENTS, np.zeros(groups), indices, updates, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("outside", [0, 7])
def test_every_kind_of_scatter_updates_rows_as_jax_does(mode, outside):
    rng = np.random.default_rng(1)
    indices = rng.permutation(30)[:19, None] + outside
    operand, updates = rng.normal(size=(30, 4)), rng.normal(size=(19, 4))
    agree_all(KINDS, ROWS_OF_A_TABLE, operand, indices, updates, mode)


@pytest.mark.parametrize("mode", MODES)
def test_windows_partly_outside_are_treated_as_in_jax(mode):
    """Windows of 2 by 3 along both axes of the operand, some of them partly outside."""
    rng = np.random.default_rng(2)
    dimensions = ScatterDimensionNumbers((0, 1), (), (1, 0))
    indices = jnp.asarray(rng.integers(-2, 6, (11, 2)))
    operand, updates = rng.normal(size=(5, 6)), jnp.asarray(rng.normal(size=(2, 3, 11)))
    agree(jax.lax.scatter_add, dimensions, jnp.asarray(operand), indices, updates, mode)


def test_batched_scatters_equal_those_of_jax():
    rng = np.random.default_rng(3)
    dimensions = ScatterDimensionNumbers(
        (), (1,), (1,), operand_batching_dims=(0,), scatter_indices_batching_dims=(1,)
    )
    indices, updates = jnp.asarray(rng.integers(0, 4, (9, 3, 1))), rng.normal(size=(9, 3))
    agree(jax.lax.scatter_add, dimensions, jnp.zeros((3, 4)), indices, jnp.asarray(updates), "clip")


def test_narrow_indices_are_read_as_unsigned():
    """The operand may be longer than the largest number of the index type."""
    indices = jnp.asarray([[3], [200], [255]], jnp.uint8)
    for length in (250, 300):
        agree(jax.lax.scatter_add, ELEMENTS, jnp.zeros(length), indices, jnp.ones(3), "drop")
        agree(jax.lax.scatter_add, ELEMENTS, jnp.zeros(length), indices, jnp.ones(3), "clip")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int32", "int64", "float32", "bool", "complex64"]
)
def test_scatters_keep_the_type_of_the_operand(dtype, mode):
    indices = np.array([[1], [1], [1], [1], [-2], [9], [0], [2]])
    operand, updates = np.arange(4).astype(dtype), np.arange(100, 108).astype(dtype)
    # JAX does not add booleans.
    sums = [] if dtype == "bool" else [jax.lax.scatter_add]
    kinds = [jax.lax.scatter, jax.lax.scatter_max, *sums]
    agree_all(kinds, ELEMENTS, operand, indices, updates, mode)


def test_a_dropped_update_keeps_the_sign_of_zero():
    operand = jnp.asarray([-0.0, 0.0])
    mode = GatherScatterMode.FILL_OR_DROP
    for combine in (jax.lax.add, jax.lax.sub, jax.lax.mul):
        found = scatter_in_loop(combine, ELEMENTS, mode, operand, jnp.array([[5]]), jnp.ones(1))
        np.testing.assert_array_equal(np.signbit(found), [True, False])


def test_the_last_of_equal_indices_wins():
    indices = jnp.zeros((12, 1), jnp.int32)
    agree(jax.lax.scatter, ELEMENTS, jnp.zeros(2), indices, jnp.arange(12.0), "clip")
