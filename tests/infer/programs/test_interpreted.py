"""A program that is called once is computed by NumPy, unless XLA is to be asked."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from infer.programs import interpreted
from infer.programs.interpreted import call_once


@pytest.fixture
def compiled(monkeypatch):
    """Collect what is compiled, in place of its results."""
    calls = []
    monkeypatch.setattr(
        interpreted, "call_compiled", lambda function, *_, **__: calls.append(function)
    )
    return calls


def mapped(values):
    large = jnp.ones((3000, 3000)) @ jnp.ones((3000, 3000))
    return {"sum": jnp.exp(values["x"]).sum(), "both": (values["x"][::-1], large * 0)[:1]}


def large(x):
    return (jnp.broadcast_to(x.sum(), (2000, 2000)) @ jnp.ones((2000, 2))).sum()


def long(x):
    for _ in range(interpreted.MOST_EQUATIONS + 1):
        x = x + 1
    return x


def without_rule(x):
    return lax.approx_max_k(x, 2)[0]


def test_small_programs_are_computed_without_compiling(compiled):
    """What no result depends on, such as a large product, is not computed."""
    x = np.array([0.0, 1.0, 2.0])
    found = call_once(mapped, {"x": x})
    assert compiled == []
    np.testing.assert_allclose(found["sum"], np.exp(x).sum(), rtol=1e-15)
    np.testing.assert_array_equal(found["both"][0], x[::-1])


@pytest.mark.parametrize("function", [large, long, without_rule])
def test_other_programs_are_compiled(function, compiled):
    call_once(function, np.array([0.0, 1.0, 2.0]))
    assert compiled == [function]
