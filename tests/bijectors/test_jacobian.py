"""Elementwise functions are recognized from their traced programs."""

import jax
import jax.numpy as jnp
import pytest

from bijectors.maps.jacobian import is_elementwise

ALONE = [
    jnp.exp,
    jax.nn.softplus,
    jax.nn.sigmoid,
    jnp.sinh,
    lambda y: 2 * y + jnp.arange(3.0),
    lambda y: y * jnp.sum(jnp.arange(3.0)),
    lambda y: jnp.where(y > 0, y, jnp.expm1(y)),
    jax.jit(lambda y: jnp.clip(y, -1, 1)),
]
TOGETHER = [
    jax.nn.softmax,
    jnp.cumsum,
    jnp.sort,
    lambda y: y[::-1],
    lambda y: y * y.sum(),
    lambda y: jnp.outer(y, y),
    lambda y: jnp.ones((3, 3)) @ y,
    jax.jit(lambda y: jnp.roll(y, 1)),
    lambda y: y + y[0],
]


@pytest.mark.parametrize("function", ALONE)
def test_elementwise_functions_are_recognized(function):
    y = jnp.array([0.3, -0.2, 1.1])
    assert is_elementwise(function, y)
    jacobian = jax.jacfwd(function)(y)
    assert (jacobian == jnp.diag(jnp.diag(jacobian))).all()


@pytest.mark.parametrize("function", TOGETHER)
def test_functions_that_mix_entries_are_not_elementwise(function):
    assert not is_elementwise(function, jnp.array([0.3, -0.2, 1.1]))
