"""Steps of a chain that run at once give the log density of steps that run in turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters.partial_eval import dce_jaxpr

import infer
from infer.models.discrete import blocks, chain

from ...cases import mark_slow
from .discrete_models import CASES, hidden_markov

CHAINS = ("hidden Markov", "left to right", "mixed start", "capture and recapture")
LONG = np.sin(np.arange(60.0)) + np.arange(60) % 7 / 7


def values_and_gradients(density):
    positions = jnp.linspace(-1.3, 1.7, 3 * density.size).reshape(3, -1)
    return jax.jit(jax.vmap(jax.value_and_grad(density)))(positions)


def assert_equal_in_blocks(monkeypatch, model, numbers):
    """Compare both forms, with blocks of a few steps."""
    density = infer.log_density(model)
    truth, gradient = values_and_gradients(density)
    asked = []
    monkeypatch.setattr(chain, "is_parallel", lambda: asked.append(True) or True)
    monkeypatch.setattr(blocks, "BLOCK_NUMBERS", numbers)
    found, slope = values_and_gradients(density)
    assert asked
    np.testing.assert_allclose(found, truth, rtol=1e-12)
    np.testing.assert_allclose(slope, gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", mark_slow(CHAINS, {"mixed start"}))
def test_blocks_of_two_steps_equal_steps_in_turn(name, monkeypatch):
    model, supports = CASES[name]
    values, shape = supports[list(supports)[-1]]
    entries = int(np.prod(shape[1:]))
    assert_equal_in_blocks(monkeypatch, model, 2 * len(values) ** 2 * entries)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 7, 60, 1000])
def test_a_long_chain_is_the_same_in_blocks_of_any_length(steps, monkeypatch):
    assert_equal_in_blocks(monkeypatch, infer.model(hidden_markov, y=LONG), 4 * steps)


@pytest.mark.slow
def test_the_steps_of_a_block_need_no_loop(monkeypatch):
    monkeypatch.setattr(chain, "is_parallel", lambda: True)
    density = infer.log_density(infer.model(hidden_markov, y=LONG))
    program = jax.make_jaxpr(jax.value_and_grad(density))(jnp.zeros(density.size)).jaxpr
    used, _ = dce_jaxpr(program, [True, True])
    assert "scan[" in str(program)
    assert "scan[" not in str(used)
