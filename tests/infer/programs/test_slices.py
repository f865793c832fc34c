"""Rows are computed in slices of one size, and come back in order without the padding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs.slices import MAX_NUMBERS, MAX_ROWS, call_in_slices, choose_rows


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_slices_give_what_one_call_gives(count):
    rows = {"a": np.arange(2.0 * count).reshape(count, 2), "b": np.arange(count)}
    function = jax.vmap(lambda own: {"sum": own["a"].sum() + own["b"], "a": own["a"]})
    found, whole = call_in_slices(function, rows, 4), function(rows)
    jax.tree.map(np.testing.assert_array_equal, found, whole)
    assert all(isinstance(array, np.ndarray) for array in found.values())


def test_all_slices_have_one_shape():
    shapes = []

    def call(rows):
        shapes.append(rows.shape)
        return jnp.asarray(rows)

    call_in_slices(call, np.zeros((9, 2)), 4)
    assert shapes == [(4, 2)] * 3


def test_a_slice_of_draws_has_a_bounded_size():
    assert choose_rows(1) == MAX_ROWS
    assert choose_rows(MAX_NUMBERS // 2) == 2
    assert choose_rows(10 * MAX_NUMBERS) == choose_rows(MAX_NUMBERS) == 1
