"""Test gradients of maxima and minima, whose entries XLA may compute twice with other last bits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs.extremes import find_comparisons
from infer.programs.native import CompiledProgram, call_compiled, compile_program
from infer.programs.rewrite import has_extremes, list_equations, mark_extremes


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


def test_extremes_are_also_found_by_their_places_in_a_loop():
    traced = jax.jit(partial(gradients, 0)).trace(POINTS)
    assert has_extremes(traced.jaxpr)
    rewritten = jax.make_jaxpr(mark_extremes(traced))(POINTS)
    assert "argmin" in str(rewritten)


TIED = np.array([[1, 2, 2], [np.nan, 3, 3], [-np.inf, -np.inf, -np.inf], [4, 0, 4]])
COMPARISONS = {
    "keepdims": lambda a: a == a.max(1, keepdims=True),
    "first axis": lambda a: a.min(0) == a,
    "whole": lambda a: a == a.max(),
    "other axis": lambda a: (lambda b: b == b.max(1))(a[1:]),
    "other axis, last": lambda a: (lambda b: b == b.min(1)[None, :])(a[1:]),
    # The gradient of a row with NaN differs in JAX itself, compiled or not.
    "gradient": lambda a: jax.grad(lambda b: (b.max(1) ** 2).sum())(a[2:]),
    "gradient of none": lambda a: jax.grad(lambda b: (b.max(1) ** 2).sum())(a[:0]),
    "gradient of a scaled": lambda a: jax.grad(lambda b: (b / b.max()).sum())(a[:1]),
    "larger": lambda a: (lambda b: (b == jnp.maximum(a, b), a == jnp.maximum(a, b)))(a[::-1]),
    "gradient of the smaller": lambda a: jax.grad(lambda b: jnp.minimum(b, a[0]).sum())(a),
    "gradient of the larger": lambda a: jax.grad(lambda b: jnp.maximum(a[0], b**2).sum())(a),
    "gradient of a clipped": lambda a: jax.grad(lambda b: jnp.clip(b, 0, 2).sum())(a),
}


@pytest.mark.parametrize("name", COMPARISONS)
def test_ties_and_nan_are_compared_as_by_jax(name):
    function = COMPARISONS[name]
    for own, expected in zip(
        jax.tree.leaves(call_compiled(function, TIED)), jax.tree.leaves(function(TIED)), strict=True
    ):
        np.testing.assert_array_equal(own, expected)


@pytest.mark.parametrize("axes", [(0,), (1,), (2, 0), (0, 1, 2)])
def test_the_place_of_an_extreme_is_marked_even_if_nothing_is_equal(axes):
    entries = jnp.asarray(np.random.default_rng(3).normal(size=(2, 3, 4)))
    for reduce in (jnp.max, jnp.min):
        own = reduce(entries, axis=axes, keepdims=True)
        compare = lambda a, own=reduce: a == own(a, axis=axes, keepdims=True)  # noqa: E731
        ((_, mark),) = find_comparisons(jax.make_jaxpr(compare)(entries).jaxpr).values()
        np.testing.assert_array_equal(mark(entries, own + 1e-9), compare(entries))


@pytest.mark.parametrize("choose", [jnp.maximum, jnp.minimum])
def test_the_larger_of_two_arrays_is_marked_without_asking_what_equals_it(choose):
    # What gradients ask in JAX 0.10.
    value = jax.vmap(lambda a, b: (a == (c := choose(a, b)), c == b), (0, None))
    one, other = np.random.default_rng(5).normal(size=(2, 3)), np.zeros(3)
    traced = jax.jit(value).trace(one, other)
    assert _operations(traced.jaxpr, "eq")
    rewritten = mark_extremes(traced)
    assert not _operations(jax.make_jaxpr(rewritten)(one, other), "eq")
    np.testing.assert_array_equal(rewritten(one, other), value(one, other))


def _operations(program, name):
    return [e for e in list_equations(program) if e.primitive.name == name]


def test_other_comparisons_are_left():
    compare = lambda a: (a == jnp.max(a + 1), jnp.sign(a) == a)  # noqa: E731
    assert not find_comparisons(jax.make_jaxpr(compare)(jnp.ones(3)).jaxpr)
    silent = lambda a: jax.jit(lambda _: ())(a)  # noqa: E731
    assert not find_comparisons(jax.make_jaxpr(silent)(jnp.ones(3)).jaxpr)
    whole = lambda a: a == jnp.max(a)  # noqa: E731
    assert not find_comparisons(jax.make_jaxpr(whole)(jnp.arange(3)).jaxpr)
