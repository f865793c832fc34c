"""A program that is called once is computed by NumPy, unless XLA is to be asked."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from infer.programs import interpreted
from infer.programs.interpreted import call_once, interpret_entries, prepare_once


@pytest.fixture
def compiled(monkeypatch):
    """Collect what is compiled, in place of its results."""
    calls = []
    monkeypatch.setattr(
        interpreted, "call_compiled", lambda function, *_, **__: calls.append(function)
    )
    return calls


@pytest.fixture
def prepared(monkeypatch):
    """Collect what is to be compiled in a thread of its own."""
    calls = []
    monkeypatch.setattr(interpreted, "prepare", lambda function, *_: calls.append(function))
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


def add(count, x):
    for _ in range(count):
        x = x + 1
    return x


def test_each_leading_argument_has_its_own_program(compiled):
    assert [call_once(add, np.zeros(1), static=(count,))[0] for count in (1, 2)] == [1, 2]
    assert compiled == []


@pytest.mark.parametrize(("count", "compiles"), [(2, False), (1001, True)])
def test_what_numpy_would_do_slowly_is_compiled_beforehand(count, compiles, compiled, prepared):
    prepare_once(add, np.zeros(1), static=(count,))
    call_once(add, np.zeros(1), static=(count,))
    assert (prepared, compiled) == ([add] * compiles, [add] * compiles)


def transform(bound, rows):
    return jnp.exp(rows[:, :1]) + 3, rows[:, 1:]


@pytest.mark.parametrize(
    "function",
    [
        lambda bound, rows: rows + bound,
        lambda bound, rows: rows.sum(1),
        lambda bound, rows: rows @ rows.T,
        lambda bound, rows: rows.astype("int32"),
    ],
)
def test_rows_are_left_to_xla_if_an_entry_needs_others_or_is_whole(function):
    rows = np.linspace(-1.0, 1.0, 20).reshape(10, 2)
    call = interpret_entries(transform, np.ones(()), rows)
    np.testing.assert_allclose(call(np.ones(()), rows)[0], np.exp(rows[:, :1]) + 3, rtol=1e-15)
    assert interpret_entries(function, np.ones(()), rows) is None
