"""Rows are computed in slices of one size, and come back in order without the padding."""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs import parts
from infer.programs.memory import count_peak_bytes
from infer.programs.parts import call_in_parts, work_in_turn
from infer.programs.slices import (
    MAX_BYTES,
    MAX_NUMBERS,
    MAX_ROWS,
    call_in_slices,
    choose_rows,
    choose_rows_for,
)


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


def test_parts_give_the_rows_of_each_member_even_of_arrays_without_entries():
    rows = np.arange(30.0).reshape(2, 5, 3)
    found, none = call_in_parts(lambda of, own: (own + of[:, None, None], own[..., :0]), rows, 2)
    np.testing.assert_array_equal(found, rows + np.arange(2)[:, None, None])
    assert none.shape == (2, 5, 0)


def test_members_are_worked_on_in_turn_whatever_the_limit(monkeypatch):
    monkeypatch.setattr(parts, "MANY", 2)
    rows, sizes = np.arange(63.0).reshape(7, 9), []

    def work(few):
        sizes.append(few.stop - few.start)
        return {"twice": 2 * rows[few], "first": rows[few, 0]}

    for limit in (1, 30, 1000):
        monkeypatch.setattr(parts, "CACHED", limit)
        found = work_in_turn(work, 7, 9)
        np.testing.assert_array_equal(found["twice"], 2 * rows)
        np.testing.assert_array_equal(found["first"], rows[:, 0])
    assert sizes == [2, 2, 3, 3, 4, 7]


def test_slices_are_not_kept_until_they_are_joined():
    """Two are in memory at a time, beside the result."""
    made = []

    def call(rows):
        own = np.copy(rows)
        made.append(weakref.ref(own))
        assert sum(one() is not None for one in made) <= 3
        return own

    call_in_slices(call, np.zeros((64, 2)), 4)
    assert len(made) == 16


def test_a_slice_of_draws_has_a_bounded_size():
    assert choose_rows(1) == MAX_ROWS
    assert choose_rows(MAX_NUMBERS // 2) == 2
    assert choose_rows(10 * MAX_NUMBERS) == choose_rows(MAX_NUMBERS) == 1
    assert choose_rows_for(1) == MAX_ROWS
    assert choose_rows_for(MAX_BYTES // 3) == 3
    assert choose_rows_for(2 * MAX_BYTES) == 1


def test_the_peak_of_a_program_is_what_is_alive_at_one_time():
    """By hand: two vectors of 800 bytes at a time, whatever the number of steps."""

    def steps(x):
        for _ in range(5):
            x = jnp.sin(x)
        return x

    vector = jnp.zeros(100)
    assert count_peak_bytes(jax.make_jaxpr(steps)(vector)) == 2 * vector.nbytes
    both = lambda x: (x + 1.0, x + 2.0, x + 3.0)  # noqa: E731
    assert count_peak_bytes(jax.make_jaxpr(both)(vector)) == 3 * vector.nbytes
    # A scan keeps its results, and what one step needs.
    scanned = lambda x: jax.lax.scan(lambda c, _: (steps(c), c.sum()), x, length=50)  # noqa: E731
    kept = vector.nbytes + 50 * vector.itemsize
    found = count_peak_bytes(jax.make_jaxpr(scanned)(vector))
    assert kept + vector.nbytes <= found <= kept + 3 * vector.nbytes
