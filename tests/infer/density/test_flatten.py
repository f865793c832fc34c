"""What a user gives is flattened in one program, and data that are observed as given need none."""

import jax
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import make_family
from infer.density.observed import find_observed, find_observed_each
from infer.models.model import Model
from infer.output.data.model_data import collect_data
from tests.compilations import list_compilations


def model(site, y, counts):
    high = site("high", dist.HalfNormal(1.0))
    low = site("low", dist.Uniform(0.0, 1.0 + high))
    site("weights", dist.Dirichlet(np.ones(3)))
    site.observe("y", dist.Normal(low, high), y)
    site.observe("counts", dist.Poisson(high), counts)


DATA = {"y": np.arange(4.0), "counts": [1, 2]}
VALUES = {"high": 0.5, "low": 1.2, "weights": [0.2, 0.3, 0.5]}


@pytest.fixture
def compiled():
    """List the programs that XLA is asked to compile."""
    return list_compilations()


def test_values_are_flattened_in_one_program(compiled):
    density = infer.log_density(infer.model(model, **DATA))
    before = len(compiled)
    flat = density.unconstrain(VALUES)
    density.unconstrain(VALUES | {"high": 2.0})
    assert len(compiled) <= before + 1
    # In a function that JAX traces, the same program is not called.
    unconstrain = lambda high: density.unconstrain(VALUES | {"high": high})  # noqa: E731
    traced = jax.jit(jax.vmap(unconstrain))(np.array([0.5]))
    np.testing.assert_allclose(flat, traced[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [("low", 1.6, "1.6 lies outside Interval"), ("high", -1.0, "-1.0 lies outside Positive")],
)
def test_a_value_outside_its_set_is_named_as_it_was_given(name, value, words):
    density = infer.log_density(infer.model(model, **DATA))
    with pytest.raises(infer.ModelError, match=f"{name}: the value {words}"):
        density.unconstrain(VALUES | {name: value})


def test_a_check_compiles_few_programs(compiled):
    before = len(compiled)
    assert all(finding.passed for finding in infer.check(infer.model(model, **DATA)))
    assert len(compiled) - before < 12


def test_data_that_are_observed_as_given_need_no_program(compiled):
    density = infer.log_density(infer.model(model, **DATA))
    before = len(compiled)
    found = find_observed(density)
    assert len(compiled) == before
    assert found is not None
    expected = jax.jit(lambda d: d.observed())(density)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_observed_values_that_a_model_computes_are_not_taken_from_its_data():
    def squares(site, y):
        site.observe("y", dist.Normal(0.0, site("sd", dist.HalfNormal(1.0))), y**2)

    assert find_observed(infer.log_density(infer.model(squares, y=np.arange(4.0)))) is None


def scaled(site, y, scale):
    site("x", dist.Normal(0.0, scale), shape=(2,))
    site.observe("y", dist.Normal(0.0, scale), y)
    site.observe("same", dist.Normal(0.0, scale), np.ones(2))


@pytest.mark.parametrize("are_copies", [False, True])
def test_data_of_many_models_are_those_of_each(are_copies, monkeypatch):
    """If the constants of a model are not its own arrays, each model is asked for them."""
    if are_copies:
        constants = Model.constants
        copied = lambda self: {n: np.array(a) for n, a in constants(self).items()}  # noqa: E731
        monkeypatch.setattr(Model, "constants", copied)
    first = infer.model(scaled, y=np.zeros(2), scale=np.ones(2))
    models = [first.with_data(y=np.arange(2.0) + i) for i in range(3)]
    family = make_family(models, jacobian=True)
    found = collect_data(family)
    for i, model in enumerate(models):
        expected = find_observed(infer.log_density(model))
        rest = {n: a for n, a in model.constants().items() if n not in expected}
        for group, each in (("observed_data", expected), ("constant_data", rest)):
            assert found[group].keys() == each.keys()
            for name, array in each.items():
                np.testing.assert_array_equal(found[group][name][i], array)
                assert found[group][name].dtype == array.dtype
    assert find_observed_each(family).keys() == {"y", "same"}
    # The result is a copy.
    found["observed_data"]["y"][:] = 7.0
    np.testing.assert_array_equal(family.member(1).model.constants()["y"], [1.0, 2.0])


def test_keys_as_data_of_many_models_are_refused():
    def noisy(site, key):
        site("x", dist.Normal(jax.random.normal(key), 1.0))

    models = [infer.model(noisy, key=jax.random.key(i)) for i in range(2)]
    with pytest.raises(infer.ModelError, match="a PRNG key.*key_data.*wrap_key_data"):
        make_family(models, jacobian=True)
