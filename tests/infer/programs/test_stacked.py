"""The same operations on many small arrays are done once, on their stack."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.extend.core import Primitive, jaxpr_as_fun

from infer.programs.by_numpy import evaluate_by_numpy
from infer.programs.stacked import FEWEST, stack_equal

COUNT = 2 * FEWEST + 3
GROUPS = np.arange(COUNT) % 3


def independent(q, y):
    return sum(dist.Normal(0.1 * i, 2.0).log_prob(q[i]) for i in range(COUNT)) + y[0]


def hierarchical(q, y):
    means, scale = [q[i] for i in range(3)], jnp.exp(q[3])
    values = [means[g] + scale * q[4 + i] for i, g in enumerate(GROUPS)]
    return sum(-0.5 * (y[i] - value) ** 2 for i, value in enumerate(values)) - q[3]


def series(q, y):
    steps = [q[i + 1] - 0.9 * q[i] for i in range(COUNT)]
    return jnp.concatenate([jnp.stack(steps) ** 2, y[:2], q[3:4], q[1:2]] * 2)


def interleaved(q, y):
    kinds = [jnp.sin, jnp.exp, lambda x: x**3]
    values = [kinds[i % 3](q[i]) + y[i] for i in range(3 * COUNT)]
    return jnp.stack(values), sum(values), sum(values[::-3])


def vectors(q, y):
    pieces = [jnp.array([1.0, i]) * q[2 * i : 2 * i + 2] for i in range(COUNT)]
    tables = [piece[:, None] * jnp.ones((1, 3)) for piece in pieces]
    return sum(pieces), jnp.concatenate(tables, 1), jnp.stack(tables, 2), pieces[5][1]


def repeated(q, y):
    total, zero = q[0] * y[0], jnp.zeros(())
    for i in range(COUNT):
        total = total + q[i] * q[i] + zero + q[0]
    return total, total + y[1]


def shared_later(q, y):
    # Each running sum is used again, so that the chain must not be taken apart.
    sums = [q[0]]
    for i in range(1, COUNT):
        sums.append(sums[-1] + q[i])
    return jnp.stack([jnp.cos(own) for own in sums])


def branches(q, y):
    one = lambda x: jax.lax.cond(x > 0, jnp.sin, jax.nn.softplus, x)  # noqa: E731
    return sum(one(q[i]) * jax.nn.relu(q[i]) for i in range(COUNT))


def empty(q, y):
    return jnp.concatenate([q[i] * jnp.ones((2, 0)) for i in range(COUNT)]), q[:2]


FUNCTIONS = [
    independent, hierarchical, series, interleaved, vectors, repeated, shared_later, branches, empty
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs():
    rng = np.random.default_rng(0)
    return rng.normal(size=4 * COUNT), rng.normal(size=4 * COUNT)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_stacked_program_computes_the_same(function, inputs):
    program = jax.make_jaxpr(function)(*inputs)
    expected = evaluate_by_numpy(program, inputs)
    found = evaluate_by_numpy(stack_equal(program), inputs)
    assert len(found) == len(expected)
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-13, atol=1e-13, strict=True)


def test_its_derivatives_are_the_same(inputs):
    def total(q, y):
        parts = jax.tree.leaves([own(q, y) for own in FUNCTIONS])
        return sum(jnp.sum(jnp.sin(part)) for part in parts)

    program = jax.make_jaxpr(total)(*inputs)
    differentiate = lambda own: jax.make_jaxpr(jax.grad(lambda q: own(q, inputs[1])[0]))  # noqa: E731
    slopes = [
        evaluate_by_numpy(differentiate(jaxpr_as_fun(own))(inputs[0]), inputs[0])[0]
        for own in (program, stack_equal(program))
    ]
    assert (slopes[0][:COUNT] != 0).all()
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("function", [independent, hierarchical, series, interleaved, repeated])
def test_the_number_of_equations_does_not_grow(function, inputs, monkeypatch):
    def count(sites):
        monkeypatch.setitem(function.__globals__, "COUNT", sites)
        monkeypatch.setitem(function.__globals__, "GROUPS", np.arange(sites) % 3)
        return len(stack_equal(jax.make_jaxpr(function)(*inputs)).eqns)

    assert count(18) == count(24) < 100


def test_a_random_program_computes_the_same():
    """Random expressions of a few kinds, of which some are equal and many share operands."""
    changed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)

        def program(q, s, rng=rng):
            known = [q[i] for i in range(12)] + [s, s * 2.0]
            for _ in range(4):
                kinds = rng.integers(0, 5, 30)
                pairs = rng.integers(0, len(known), (30, 2))
                known += [
                    _combine(k, *(known[i] for i in pair))
                    for k, pair in zip(kinds, pairs, strict=True)
                ]
            return sum(known), jnp.stack([known[i] for i in rng.integers(0, len(known), 25)])

        inputs = rng.normal(size=12), np.asarray(rng.normal())
        traced = jax.make_jaxpr(program)(*inputs)
        stacked = stack_equal(traced)
        changed += stacked is not traced
        for ours, plain in zip(
            evaluate_by_numpy(stacked, inputs), evaluate_by_numpy(traced, inputs), strict=True
        ):
            np.testing.assert_allclose(ours, plain, rtol=1e-11, atol=1e-11)
    assert changed >= 10


def _combine(kind, a, b):
    choices = (lambda: a + b, lambda: a * 0.5 - b, lambda: jnp.sin(a), lambda: jnp.maximum(a, 0.3))
    return (*choices, lambda: jnp.where(a < b, a, b))[kind]()


def test_a_primitive_without_a_rule_for_batches_is_left_alone():
    double = Primitive("double")
    double.def_abstract_eval(lambda x: x)
    both = lambda x: [double.bind(x[i]) * jnp.sin(x[i]) for i in range(COUNT)]  # noqa: E731
    stacked = stack_equal(jax.make_jaxpr(both)(np.ones(COUNT)))
    names = [equation.primitive.name for equation in stacked.eqns]
    assert (names.count("double"), names.count("sin")) == (COUNT, 1)


def test_a_program_with_effects_is_left_alone():
    def shown(x):
        jax.debug.print("{}", x)
        return sum(x[i] ** 2 for i in range(COUNT))

    program = jax.make_jaxpr(shown)(np.zeros(COUNT))
    assert stack_equal(program) is program
