"""Every call of another program is in the table, and results are traced back to what they need."""

import jax
import jax.numpy as jnp
import pytest

from bijectors.jaxprs import (
    CALLS,
    called_program,
    equations_in,
    jaxpr_of,
    needed_by,
    nested_programs,
)  # fmt: skip


@jax.custom_jvp
def with_jvp(x):
    return jnp.sin(x)


with_jvp.defjvp(lambda primals, tangents: (with_jvp(*primals), tangents[0]))


@jax.custom_vjp
def with_vjp(x):
    return jnp.sin(x)


with_vjp.defvjp(lambda x: (with_vjp(x), x), lambda _, slope: (slope,))

CALLERS = {
    "jit": jax.jit(jnp.sin),
    "custom_jvp": with_jvp,
    "custom_vjp": with_vjp,
    "custom_vmap": jax.custom_batching.sequential_vmap(jnp.sin),
    "checkpoint": jax.checkpoint(jnp.sin),
}
LOOPS = {
    "scan": lambda x: jax.lax.scan(lambda c, _: (jnp.sin(c), None), x, length=3)[0],
    "while": lambda x: jax.lax.while_loop(lambda c: c < 1, jnp.exp, x),
    "cond": lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x),
}


@pytest.mark.parametrize("name", CALLERS)
def test_a_call_of_jax_is_in_the_table(name):
    (equation,) = jax.make_jaxpr(CALLERS[name])(1.0).eqns
    assert equation.primitive.name in CALLS
    inner = jaxpr_of(called_program(equation))
    assert len(inner.invars) == len(equation.invars)
    assert "sin" in {own.primitive.name for own in inner.eqns}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_branches_are_nested_programs_and_not_calls(name):
    equation = jax.make_jaxpr(LOOPS[name])(1.0).eqns[-1]
    assert called_program(equation) is None
    assert list(nested_programs(equation))


def test_equations_of_nested_programs_are_found_at_any_depth():
    function = lambda x: LOOPS["scan"](CALLERS["jit"](x))  # noqa: E731
    names = [own.primitive.name for own in equations_in(jax.make_jaxpr(function)(1.0))]
    assert names.count("sin") == 2


def test_only_what_a_wanted_result_needs_is_walked():
    jaxpr = jax.make_jaxpr(lambda x, y: (jnp.sin(x), jnp.cos(y)))(1.0, 2.0).jaxpr
    all_operands = lambda equation, here: equation.invars if any(here) else None  # noqa: E731
    needed = needed_by(jaxpr, [False, True], all_operands)
    assert [own.primitive.name for own, _ in needed.equations] == ["cos"]
    assert [variable in needed.variables for variable in jaxpr.invars] == [False, True]
