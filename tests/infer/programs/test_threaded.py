"""Operations that XLA divides among threads are found before a native program is compiled."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from infer.programs.native import CompiledProgram, compile_program
from infer.programs.threaded import count_divided

pytestmark = pytest.mark.skipif(
    jax.__version_info__ >= (0, 11) or jax.default_backend() != "cpu",
    reason="Since release 0.11, XLA divides no operation of a native loop.",
)


def repeat(function):
    return lambda x: jax.lax.fori_loop(0, 5, lambda _, y: function(y), x)


def in_branch(function):
    return lambda x: jax.lax.cond(x[0] > 0, function, lambda y: y, x)


@pytest.mark.parametrize(
    ("function", "size", "is_divided"),
    [
        (repeat(jax.lax.lgamma), 600, False),
        (repeat(jax.lax.lgamma), 700, True),
        (repeat(jax.lax.digamma), 700, True),
        (repeat(jnp.exp), 32_000, False),
        (repeat(jnp.exp), 33_000, True),
        # Only loops that XLA runs natively matter, and an operation in a branch is never divided.
        (jax.lax.lgamma, 10**5, False),
        (repeat(in_branch(jax.lax.lgamma)), 10**4, False),
        (in_branch(repeat(jax.lax.lgamma)), 10**4, True),
        # A sum has one result.
        (repeat(lambda x: x * 0 + jax.lax.lgamma(x[:1])), 1000, False),
        (repeat(lambda x: jnp.roll(x, 1)), 1000, False),
    ],
)
def test_operations_of_loops_are_divided_from_a_cost_on(function, size, is_divided):
    with jax.enable_x64(True):
        program = jax.make_jaxpr(function)(jnp.ones(size))
    assert (count_divided(program) > 0) == is_divided


def test_what_is_summed_is_not_divided():
    with jax.enable_x64(True):
        loop = lambda x: jax.lax.fori_loop(0, 5, lambda _, y: jax.lax.lgamma(x + y).sum(), x[0])  # noqa: E731
        assert count_divided(jax.make_jaxpr(loop)(jnp.ones(10**4))) == 0


def test_a_fast_compile_of_what_xla_would_divide_is_not_tried_natively():
    function = lambda x: jax.lax.scan(lambda y, _: (jax.lax.lgamma(y), ()), x, length=3)[0]  # noqa: E731
    with jax.enable_x64(True):
        made, _ = compile_program(function, (), (np.ones(3000),), "fast_compile")
    assert isinstance(made, CompiledProgram)
    assert not made.is_native
    np.testing.assert_allclose(made.call(np.ones(3000))[:1], function(jnp.ones(1)))
