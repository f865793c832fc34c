"""A scan costs as much for each of its steps, however many they are."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs.marked import NATIVE_OPTIONS, mark_as_native
from infer.programs.rewrite import LONG_SCAN, rewrite_as_loops

PLACES = np.array([0, 3, 3, 1])


@pytest.mark.parametrize("rows", [True, False], ids=["rows", "no rows"])
def test_long_scans_are_rewritten_correctly(rows):
    def function(keys, x):
        def draw(x, key):
            added = jax.random.normal(key, PLACES.shape) if rows else x[PLACES]
            return x.at[PLACES].add(added), x[0]

        return jax.lax.scan(draw, x, keys if rows else None, length=LONG_SCAN)

    arguments = (jax.random.split(jax.random.key(0), LONG_SCAN), jnp.ones(5))
    again = rewrite_as_loops(jax.jit(function).trace(*arguments))
    for own, right in zip(again(*arguments), function(*arguments), strict=True):
        np.testing.assert_allclose(own, right, rtol=1e-13)


def test_a_step_of_a_scan_fills_no_array_as_long_as_the_scan():
    """Otherwise the gradient of a scan of n steps costs as much as n^2 numbers."""

    def total(x):
        move = lambda level, x: (0.9 * level + jnp.sin(x), level**2)  # noqa: E731
        return jnp.sum(jax.lax.scan(move, 0.0, x)[1])

    def climb(x):
        return jax.lax.fori_loop(0, 3, lambda _, x: x + 0.1 * jax.grad(total)(x), x)

    traced = jax.jit(climb).trace(jnp.zeros(777))
    text = mark_as_native(traced).lower(jnp.zeros(777)).compile(NATIVE_OPTIONS).as_text() or ""
    loops = [line for line in text.splitlines() if '"known_trip_count":{"n":"777"}' in line]
    bodies = [re.findall(r"body=%([\w.-]+)", line)[0] for line in loops]
    assert len(bodies) == 2
    for name in bodies:
        body = text.split(f"\n%{name} (")[1].split("\n}")[0]
        assert not re.findall(r"= f\d\d\[777\]\S* (?:fusion|broadcast|copy|constant)\(", body)
