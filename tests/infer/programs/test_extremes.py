"""Test gradients of maxima and minima, whose entries XLA may compute twice with other last bits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs.extremes import find_extremes, mark_extreme
from infer.programs.native import CompiledProgram, call_compiled, compile_program
from infer.programs.rewrite import has_extremes, mark_extremes


def sum_of_least(axis, x):
    levels = 0.5 + 0.4 * jnp.tanh(jnp.resize(x, (6,)))
    entries = jnp.sin(9 * levels[:, None] * levels + jnp.arange(6))
    return jnp.sum(jnp.min(entries, axis=axis))


def gradients(axis, points):
    return jax.lax.map(jax.grad(partial(sum_of_least, axis)), points)


POINTS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


# JAX's own compiled gradient fails the first of these, if it is compiled as released.
@pytest.mark.parametrize("form", ["native", "kernels"])
def test_gradients_of_a_minimum_are_those_that_jax_finds_step_by_step(form):
    expected = [jax.grad(partial(sum_of_least, 0))(point) for point in POINTS]
    made, _ = compile_program(gradients, (0,), (POINTS,), form)
    assert isinstance(made, CompiledProgram)
    np.testing.assert_allclose(made.call(POINTS), expected, atol=1e-3)


def test_gradients_along_other_axes_are_right_too():
    for axis in (1, (0, 1), None):
        own = call_compiled(gradients, POINTS, static=(axis,))
        expected = [jax.grad(partial(sum_of_least, axis))(point) for point in POINTS]
        np.testing.assert_allclose(own, expected, atol=1e-3)


def test_no_comparison_is_left_in_a_loop():
    traced = jax.jit(partial(gradients, 0)).trace(POINTS)
    assert has_extremes(traced.jaxpr)
    rewritten = jax.make_jaxpr(mark_extremes(traced))(POINTS)
    assert not has_extremes(rewritten)
    assert "argmin" in str(rewritten)


@pytest.mark.parametrize("axes", [(0,), (1,), (2, 0), (0, 1, 2)])
def test_marks_are_those_of_a_comparison(axes):
    entries = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 4)))
    for reduce in (jnp.max, jnp.min):
        compare = lambda a, own=reduce: a == own(a, axis=axes, keepdims=True)  # noqa: E731
        (extreme,) = find_extremes(jax.make_jaxpr(compare)(entries).jaxpr).values()
        np.testing.assert_array_equal(mark_extreme(entries, extreme), compare(entries))


def test_other_comparisons_are_left():
    compare = lambda a: (a == jnp.max(a + 1), jnp.sign(a) == a)  # noqa: E731
    assert not find_extremes(jax.make_jaxpr(compare)(jnp.ones(3)).jaxpr)
    whole = lambda a: a == jnp.max(a)  # noqa: E731
    assert not find_extremes(jax.make_jaxpr(whole)(jnp.arange(3)).jaxpr)
