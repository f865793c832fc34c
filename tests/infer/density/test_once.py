"""Densities of many sites are traced once, and evaluated once for all that use them."""

from unittest.mock import Mock

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from jax.extend.core import jaxpr_as_fun

import infer
from infer.density.family import singleton
from infer.density.once import MANY_SITES, evaluate_once
from infer.density.repeats import refuse_unless_reproduced
from infer.output.data.values import constrain_all, constrain_rows
from infer.programs.stacked import stack_results


@pytest.fixture(name="runs")
def make_runs():
    return []


@pytest.fixture
def many(runs):
    """Return a model of many sites that counts its runs."""

    def model(site, y):
        runs.append(None)
        values = [site(f"x{i}", dist.Normal(0.1 * i, 1.0)) for i in range(MANY_SITES)]
        site.observe("y", dist.Normal(jnp.stack(values), 0.5), y)

    return model


def test_a_density_of_many_sites_has_the_same_value_and_gradient(many):
    density = infer.log_density(infer.model(many, y=np.zeros(MANY_SITES)))
    q = jnp.linspace(-1, 1, MANY_SITES)
    value, gradient = jax.jit(density.evaluate)(q)
    np.testing.assert_allclose(value, density._total_and_values(q)[0], rtol=1e-12)
    apart = np.asarray(q) - 0.1 * np.arange(MANY_SITES)
    np.testing.assert_allclose(gradient, -apart - 4 * q, rtol=1e-12)


def test_a_density_of_many_sites_is_traced_once_for_all_its_uses(many, runs):
    density = infer.log_density(infer.model(many, y=np.zeros(MANY_SITES)))
    q = np.zeros(MANY_SITES)
    jax.make_jaxpr(density.evaluate)(q)
    before = len(runs)
    jax.make_jaxpr(lambda q: density.components(2 * q))(q)
    jax.make_jaxpr(lambda q: jax.vmap(density.evaluate)(q[None]))(q)
    jax.make_jaxpr(density.constrain)(q)
    other = infer.log_density(density.model.with_data(y=np.ones(MANY_SITES)))
    jax.make_jaxpr(other.evaluate)(q)
    assert len(runs) == before


def test_data_are_arguments_of_the_traced_density(many):
    y = np.linspace(0, 1, MANY_SITES)
    densities = [infer.log_density(infer.model(many, y=own)) for own in (y, 2 * y)]
    q = jnp.zeros(MANY_SITES)
    expected = -2 * ((2 * y) ** 2 - y**2).sum()
    np.testing.assert_allclose(densities[1](q) - densities[0](q), expected, rtol=1e-10)


def test_at_a_position_that_is_not_finite_neither_is_the_result(many):
    density = infer.log_density(infer.model(many, y=np.zeros(MANY_SITES)))
    position = jnp.array([1.0, jnp.inf])
    value, gradient = evaluate_once(lambda _, q: (q.sum() * 0,), density, position)
    assert jnp.isnan(value)
    assert jnp.isnan(gradient).all()


def test_a_density_of_many_sites_that_differs_each_time_is_refused_although_it_is_traced_once():
    rng = np.random.default_rng(0)

    def changing(site):
        shift = rng.normal()
        for i in range(MANY_SITES):
            site(f"x{i}", dist.Normal(shift, 1.0))

    density, position = infer.log_density(infer.model(changing)), np.zeros(MANY_SITES)
    same = np.full(1, density(jnp.asarray(position)))
    with pytest.raises(infer.ModelError, match="when run again"):
        refuse_unless_reproduced(
            singleton(density), position[None], same, lambda _: Mock(log_densities=same[None])
        )


def test_its_values_are_those_that_are_written(many):
    density = infer.log_density(infer.model(many, y=np.zeros(MANY_SITES)))
    q = np.linspace(-1, 1, MANY_SITES)
    values = density.constrain(jnp.asarray(q))
    assert list(values) == [f"x{i}" for i in range(MANY_SITES)]
    np.testing.assert_array_equal(np.stack(list(values.values())), q)


def test_in_single_precision_the_log_density_less_a_reference_is_computed_by_few_equations(many):
    density = infer.log_density(infer.model(many, y=np.zeros(MANY_SITES, np.float32)))
    q = jnp.linspace(-1, 1, MANY_SITES, dtype=jnp.float32)
    reference = density(q)
    program = jax.make_jaxpr(lambda q: density._minus_reference(q, reference)[0])(q)
    few = jax.make_jaxpr(lambda q: density.evaluate_from(q, reference)[0])(q)
    branch = few.eqns[-1].params["branches"][1]
    assert len(branch.eqns) < len(program.eqns) / 4
    np.testing.assert_allclose(jax.jit(density.evaluate_from)(q, reference)[0], 0, atol=1e-5)


def test_draws_of_many_sites_are_mapped_to_values_by_a_program_of_few_results():
    def mixed(site):
        for i in range(MANY_SITES):
            site(f"x{i}", dist.HalfNormal(1.0 + i))
        pair = site("pair", dist.Normal(0.0, 1.0), shape=(2,))
        site.derive("sign", jnp.sign(pair).astype(jnp.int32))
        site.derive("sum", pair.sum())

    density = infer.log_density(infer.model(mixed))
    q = np.random.default_rng(0).normal(size=(2, 3, density.size))
    stacks = jax.eval_shape(constrain_rows, density, q[0])
    assert sorted(len(own.names) for own in stacks) == [1, 1, MANY_SITES + 1]
    for name, values in constrain_all(density, q).items():
        expected = [[density.constrain(jnp.asarray(one))[name] for one in chain] for chain in q]
        assert values.dtype == np.asarray(expected).dtype
        np.testing.assert_allclose(values, expected, rtol=1e-14)


def test_results_of_a_program_with_effects_are_stacked_too():
    def printing(x):
        jax.debug.print("{}", x)
        return x, 2 * x, 3 * x

    program = stack_results(jax.make_jaxpr(printing)(1.0), [[0, 2], [1]])
    np.testing.assert_array_equal(np.concatenate(jaxpr_as_fun(program)(5.0)), [5, 15, 10])
