"""NumPy computes the same as XLA, operation by operation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.scipy import linalg, special

from infer.programs import by_numpy
from infer.programs.by_numpy import NoRuleError, evaluate_by_numpy


def elementwise(x):
    y = x + 1.5
    smooth = [jnp.exp(x), jnp.log1p(y), special.gammaln(y), special.digamma(y), special.erf(x)]
    rounded = [jnp.round(9 * x), jnp.floor(9 * x), jnp.sign(x), 9 * x // 2, jnp.fmod(9 * x, 2)]
    return smooth + rounded + [jax.nn.sigmoid(x), jnp.where(x > 0.2, x, y**-3), jnp.clip(x, 0, 0.3)]


def moved(x):
    table, index = jnp.outer(x, jnp.arange(4.0)), jnp.array([3, 1, 1, -1])
    return (
        table[index],
        table[1:5:2, ::-1],
        table.at[index, 2].add(x[:4]),
        table.at[:, 1].set(x),
        table.at[jnp.array([0, 9])].multiply(2.0, mode="drop"),
        jnp.pad(x, (2, 1)),
        jnp.sort(x)[::-1],
        jnp.cumsum(x[::-1]),
        lax.dynamic_slice(table, (5, 1), (3, 2)),
        lax.pad(x, 0.5, [(-1, 2, 1)]),
        jnp.concatenate([x, x[:1]]),
        lax.bitcast_convert_type(x[0], jnp.int64),
        lax.bitcast_convert_type(lax.bitcast_convert_type(x, jnp.uint32), float),
    )


def multiplied(x):
    a = jnp.outer(x, x) + 3 * jnp.eye(6)
    batch = jnp.stack([a, 2 * a])
    factor = jnp.linalg.cholesky(a)
    return (
        a @ x,
        jnp.einsum("bij,bjk->kbi", batch, batch),
        factor,
        linalg.solve_triangular(factor, x, lower=True),
        linalg.solve_triangular(factor.T, x, trans=1),
        linalg.cho_solve((factor, True), a),
        jnp.prod(a[:2], axis=0),
        a.max(0),
        jnp.argmin(a, 1),
    )


def solved(x):
    a = jnp.outer(x, jnp.sin(3 * x)) + jnp.diag(x + 1) + jnp.eye(6)[::-1]
    batch = jnp.stack([a, a.T])
    return (
        jnp.linalg.slogdet(batch),
        jnp.linalg.inv(a),
        jnp.linalg.solve(a, x),
        jnp.linalg.solve(batch, jnp.stack([a, a])),
        linalg.lu_factor(a[:3]),
        jnp.abs(linalg.lu_factor(a + 2j * a.T)[0]),
        linalg.lu_factor(a[:, :2]),
    )


def looped(x):
    def step(carry, row):
        return carry * 0.9 + row, jnp.sin(carry)

    halved = lax.while_loop(lambda y: y.sum() > 0.1, lambda y: y / 2, jnp.abs(x))
    chosen = lax.cond(x[0] > 0, jnp.sin, jnp.cos, x)
    return lax.scan(step, 0.0, x), lax.scan(step, 0.0, x, reverse=True), halved, chosen


FAMILIES = {
    "elementwise": elementwise,
    "moved": moved,
    "multiplied": multiplied,
    "solved": solved,
    "looped": looped,
}


@pytest.mark.parametrize("name", FAMILIES)
def test_numpy_computes_the_same_values_and_gradients(name):
    function, x = FAMILIES[name], np.linspace(-0.4, 0.7, 6)

    def total(x):
        found = jax.tree.leaves(function(x))
        return sum(jnp.sum(jnp.sin(a)) for a in found if jnp.issubdtype(a.dtype, jnp.floating))

    both = function if name == "looped" else lambda x: (function(x), jax.grad(total)(x))
    traced = jax.jit(both).trace(x)
    found = evaluate_by_numpy(traced.jaxpr, (x,))
    for ours, theirs in zip(found, jax.tree.leaves(jax.jit(both)(x)), strict=True):
        assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_map_can_be_evaluated_at_fewer_rows():
    traced = jax.jit(lambda x: lax.map(lambda row: row.sum(), x)).trace(np.ones((8, 3)))
    (found,) = evaluate_by_numpy(traced.jaxpr, (np.arange(6.0).reshape(2, 3),))
    np.testing.assert_array_equal(found, [3, 12])


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: jnp.fft.fft(x).real, "no rule for fft"),
        (lambda x: x.at[jnp.array([0, 2])].apply(jnp.sin), "no rule for x.at"),
        (lambda x: lax.fori_loop(0, 10**6, lambda _, y: y + 1, x), "too many operations"),
        (
            lambda x: x * jnp.stack([jax.random.wrap_key_data(jnp.zeros(2, jnp.uint32))] * 4).size,
            "keys",
        ),
    ],
)
def test_what_numpy_does_not_evaluate_is_said(function, why, monkeypatch):
    monkeypatch.setattr(by_numpy, "MOST_EQUATIONS", 1000)
    with pytest.raises(NoRuleError, match=why):
        evaluate_by_numpy(jax.jit(function).trace(np.ones(4)).jaxpr, (np.ones(4),))


ODD = np.array([1e20, -1e20, np.nan, np.inf, -np.inf, -1.5, 300.7, 0.0])
WHOLE = np.array([7, -7, 6, -128, 0], np.int8)
BY = np.array([[2], [-2], [-1], [0]], np.int8)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        *[(lambda a, to=to: a.astype(to), [ODD]) for to in ("int8", "uint8", "int32", "int64")],
        (lambda a: a.astype("int32"), [ODD.astype(np.float32)]),
        *[(function, [WHOLE, BY]) for function in (lax.div, lax.rem)],
        *[(function, [WHOLE.view(np.uint8), BY.view(np.uint8)]) for function in (lax.div, lax.rem)],
    ],
)
def test_whole_numbers_beyond_their_range_are_those_of_xla(function, arguments):
    arguments = np.broadcast_arrays(*arguments)
    program = jax.make_jaxpr(function)(*arguments)
    with np.errstate(all="ignore"):
        (found,) = evaluate_by_numpy(program, arguments)
    expected = jax.jit(function)(*arguments)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)
