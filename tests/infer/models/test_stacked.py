"""A stacked model is recognized as several, and every call treats lists of models alike."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.errors import ModelError
from infer.models.inputs.stacked import models_in

YS = np.array([[-3.0, -5.0], [0.5, 1.5], [8.0, 12.0]])
# Prior N(0, 1), two observations of unit variance.
MEANS, SD = YS.sum(1) / 3, np.sqrt(1 / 3)


def conjugate(site, y):
    mu = site("mu", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(mu, 1.0), y)


def dsl(y):
    return infer.model(conjugate, y=y)


def from_numpyro(y):
    import numpyro

    def function(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    return infer.from_numpyro(function, y)


def declared(y):
    def density(values, y):
        return dist.Normal(0, 1).log_prob(values["mu"]) - 0.5 * ((y - values["mu"]) ** 2).sum()

    return infer.declared(density, {"mu": bj.Real()}, data=y)


def tree(y):
    def likelihood(tree, y):
        return dist.Normal(tree["mu"], tree["sd"]).log_prob(y)

    leaves = {"mu": dist.Normal(0.0, 1.0), "sd": "frozen"}
    return infer.tree_model({"mu": 0.0, "sd": 1.0}, likelihood, leaves, data=y)


FRONTS = [dsl, from_numpyro, declared, tree]


def stacks(make):
    """The three ways in which users make them; all data in one function object."""
    one = make(YS[0])
    with_y = lambda y: one.with_data(y) if make in (declared, tree) else one.with_data(y=y)  # noqa: E731
    each = [with_y(y) for y in YS]
    return each, {
        "vmap": jax.vmap(with_y)(jnp.asarray(YS)),
        "filter_vmap": eqx.filter_vmap(with_y)(jnp.asarray(YS)),
        "stack": jax.tree.map(lambda *a: jnp.stack(a), *each),
    }


@pytest.mark.parametrize("make", FRONTS)
def test_unstacking_returns_the_models_that_were_stacked(make):
    each, stacked = stacks(make)
    for together in stacked.values():
        apart = models_in(together)
        assert len(apart) == len(each)
        for found, wanted in zip(apart, each, strict=True):
            assert jax.tree.structure(found) == jax.tree.structure(wanted)
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
                np.testing.assert_array_equal(a, b)


def test_frozen_models_and_views_made_by_vmap_are_unstacked():
    model = dsl(YS[0])
    frozen = jax.vmap(lambda mu: model.freeze(mu=mu))(jnp.arange(3.0))
    assert [float(one.frozen["mu"]) for one in models_in(frozen)] == [0, 1, 2]
    tempered = jax.vmap(lambda power: model.view(likelihood=power))(jnp.array([0.0, 0.5]))
    position = jnp.array([0.3])
    found = [infer.log_density(one)(position) for one in models_in(tempered)]
    wanted = [infer.log_density(model.view(likelihood=p))(position) for p in (0.0, 0.5)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


ONE_MODEL_CALLS = {
    "log_density": infer.log_density,
    "explain": infer.explain,
    "calibrate": infer.calibrate,
    "freeze": lambda model: model.freeze(mu=0.0),
    "condition": lambda model: model.condition(mu=0.0),
    "do": lambda model: model.do(mu=0.0),
    "view": lambda model: model.view("prior"),
    "with_data": lambda model: model.with_data(y=YS[0]),
    "with_coords": lambda model: model.with_coords(row=[1, 2]),
    "table": lambda model: model.table(),
    "describe": lambda model: model.describe(),
    "tree_of": lambda model: infer.tree_of(model, {"mu": 0.0}),
    "map_trees": lambda model: infer.map_trees(len, model, {"mu": np.zeros((1, 1))}),
}


@pytest.mark.parametrize("name", ONE_MODEL_CALLS)
def test_calls_for_one_model_refuse_a_stacked_one(name):
    _, stacked = stacks(dsl)
    with pytest.raises(ModelError, match=r"leading axis of 3.*\[make\(y\) for y in data\]"):
        ONE_MODEL_CALLS[name](stacked["vmap"])


def test_check_reports_a_stacked_model():
    finding = infer.check(stacks(dsl)[1]["vmap"])[0]
    assert not finding.passed
    assert "3 models stacked into one" in finding.detail


def test_arrays_of_another_shape_are_refused():
    longer = eqx.tree_at(lambda m: m.data.parts.leaves[0], dsl(YS[0]), jnp.zeros(5))
    with pytest.raises(ModelError, match=r"\(5,\) instead of \(2,\).*with_data"):
        infer.log_density(longer)


@pytest.fixture(scope="module")
def listed():
    return stacks(dsl)


def test_a_stacked_model_gives_the_draws_of_the_list(listed):
    """Normal posteriors: 400 draws, five standard errors of an effective 200."""
    each, stacked = listed
    options = {"chains": 2, "draws": 200, "key": 1, "progress": False}
    found = infer.sample(stacked["vmap"], infer.NUTS(), **options)
    wanted = infer.sample(each, infer.NUTS(), **options)
    mu = found.posterior["mu"]
    np.testing.assert_array_equal(mu, wanted.posterior["mu"])
    error = 5 * SD / np.sqrt(200)
    np.testing.assert_allclose(mu.mean(("chain", "draw")), MEANS, atol=error)
    np.testing.assert_allclose(mu.std(("chain", "draw")), SD, atol=error)
    # A prediction for each draw of each data set: around its own mean.
    predicted = infer.predict(each, wanted, key=2).posterior_predictive["y"]
    assert predicted.dims == ("chain", "draw", "dataset", "y_dim_0")
    np.testing.assert_allclose(
        predicted.mean(("chain", "draw", "y_dim_0")), MEANS, atol=5 * np.sqrt(4 / 3 / 200)
    )
    with pytest.raises(ModelError, match="it has draws of 3 and not of 2 models"):
        infer.predict(each[:2], wanted)


@pytest.mark.parametrize("which", ["list", pytest.param("vmap", marks=pytest.mark.slow)])
def test_every_model_has_its_own_mode(listed, which):
    models = listed[0] if which == "list" else listed[1]["vmap"]
    found = infer.maximize(models, infer.MAP("constrained"), starts=3)
    assert isinstance(found, list)
    np.testing.assert_allclose([one.values["mu"] for one in found], MEANS, atol=1e-6)
    assert [len(one.every_lp) for one in found] == [3, 3, 3]
    alone = infer.maximize(listed[0][0], infer.MAP("constrained"), starts=3)
    np.testing.assert_allclose(found[0].lp, alone.lp)


def test_each_frozen_variant_has_its_own_mode():
    def two(site, y):
        a, b = site("a", dist.Normal(0.0, 1.0)), site("b", dist.Normal(0.0, 1.0))
        site.observe("y", dist.Normal(a + b, 1.0), y)

    model = infer.model(two, y=3.0)
    found = infer.maximize(
        [model.freeze(a=a) for a in (0.0, 2.0)], infer.MAP("constrained"), starts=2
    )
    np.testing.assert_allclose([one.values["b"] for one in found], [1.5, 0.5], atol=1e-6)


def test_every_model_has_its_own_approximation(listed):
    found = infer.fit(listed[0], infer.ADVI("mean_field"), progress=False)
    np.testing.assert_allclose([one.distribution.mean[0] for one in found], MEANS, atol=0.02 * SD)
    np.testing.assert_allclose([one.distribution.scale[0] for one in found], SD, rtol=0.02)
    drawn = found[2].sample(500)
    np.testing.assert_allclose(drawn.posterior["mu"].mean(), MEANS[2], atol=5 * SD / np.sqrt(500))
    np.testing.assert_array_equal(drawn.observed_data["y"], YS[2])


def test_a_stacked_model_in_a_list_is_named(listed):
    each, stacked = listed
    with pytest.raises(ModelError, match=r"models\[1\].*leading axis of 3"):
        infer.maximize([each[0], stacked["vmap"]], infer.MAP("constrained"))


def test_starts_outside_the_set_of_one_model_name_it():
    def bounded(site, top):
        site("x", dist.Uniform(0.0, top))

    models = [infer.model(bounded, top=top) for top in (2.0, 0.5)]
    with pytest.raises(ModelError, match=r"x: of models\[1\]: the value 1.0 lies outside"):
        infer.maximize(models, infer.MAP("constrained"), starts={"x": 1.0})
