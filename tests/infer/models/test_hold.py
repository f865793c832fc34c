"""Conditioning and intervention: the textbook's densities, and nothing compiled again."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray
from scipy import stats

import infer
from infer.run import stepped
from tests.compilations import list_compilations

compiled = list_compilations()

W = np.array([0.5, -1.0, 0.3])
T = np.array([1.0, 0.2, -0.4])
Y = np.array([2.0, 0.1, -0.5])


def confounded(site, w, t, y):
    """w confounds the treatment t and the outcome y."""
    pull = site("pull", dist.Normal(0.0, 1.0))
    effect = site("effect", dist.Normal(0.0, 1.0))
    t = site.observe("t", dist.Normal(pull * w, 1.0), t)
    site.observe("y", dist.Normal(effect * t + w, 0.5), y)


MODEL = infer.model(confounded, w=W, t=T, y=Y)


def test_an_observed_site_that_is_set_has_no_likelihood():
    density = infer.log_density(MODEL.do(t=2.0))
    pull, effect = 0.3, -0.7
    truth = stats.norm.logpdf([pull, effect]).sum()
    truth += stats.norm.logpdf(Y, 2.0 * effect + W, 0.5).sum()
    np.testing.assert_allclose(density(jnp.array([pull, effect])), truth, rtol=1e-12)
    assert list(density.terms(jnp.zeros(2))) == ["pull", "effect", "y", "jacobian"]
    assert set(density.observed()) == {"y"}


def test_a_latent_site_that_is_set_has_no_prior_and_one_conditioned_on_has():
    effect = jnp.array([0.4])
    rest = stats.norm.logpdf(0.4) + stats.norm.logpdf(Y, 0.4 * T + W, 0.5).sum()
    treated = stats.norm.logpdf(T, 0.3 * W).sum()
    done, seen = MODEL.do(pull=0.3), MODEL.condition(pull=0.3)
    truths = [(done, rest + treated), (seen, rest + treated + stats.norm.logpdf(0.3))]
    for model, truth in truths:
        density = infer.log_density(model)
        assert [site.name for site in density.latent] == ["effect"]
        np.testing.assert_allclose(density(effect), truth, rtol=1e-12)
    observed = infer.log_density(seen).observed()
    assert set(observed) == {"pull", "t", "y"}
    assert infer.log_density(seen).model.table().role_of("pull") == "observed"
    assert "pull" in done.constants()


def test_an_intervention_predicts_what_conditioning_does_not():
    """Under do(t) the treatment says nothing of its causes; 2000 draws, 5 standard errors."""
    draws = {"pull": np.ones((1, 2000)), "effect": np.full((1, 2000), 2.0)}
    posterior = {"posterior": xarray.Dataset({n: (("chain", "draw"), a) for n, a in draws.items()})}
    found = infer.predict(MODEL.do(t=3.0), posterior)["posterior_predictive"]
    assert "t" not in found
    np.testing.assert_allclose(found["y"].mean("draw")[0], 6.0 + W, atol=5 * 0.5 / np.sqrt(2000))
    free = infer.predict(MODEL, posterior)["posterior_predictive"]["y"]
    np.testing.assert_allclose(free.mean("draw")[0], 3 * W, atol=5 * 2.1 / np.sqrt(2000))


def test_other_interventions_and_other_data_compile_nothing(monkeypatch):
    # The third search of a program would compile it in another form.
    monkeypatch.setattr(stepped, "REPEATED", 9)

    def run(model):
        return infer.maximize(model, infer.MAP("constrained"), starts=2).lp

    first = run(MODEL.do(t=1.0))
    before = len(compiled)
    second = run(MODEL.do(t=2.0))
    third = run(MODEL.with_data(y=Y + 1).do(t=2.0))
    assert len(compiled) == before
    assert len({first, second, third}) == 3
    run(MODEL.condition(pull=0.1))
    before = len(compiled)
    run(MODEL.condition(pull=0.2))
    assert len(compiled) == before


def test_what_is_said_of_a_model_can_be_combined():
    model = MODEL.condition(pull=0.3).freeze(effect=0.4)
    with pytest.raises(infer.ModelError, match="every latent site is frozen"):
        infer.log_density(model)
    assert infer.log_density(model.free("effect")).size == 1
    both = MODEL.freeze(pull=0.3).do(t=1.0)
    one = infer.log_density(both)(jnp.array([0.4]))
    other = infer.log_density(MODEL.do(t=1.0).freeze(pull=0.3))(jnp.array([0.4]))
    np.testing.assert_allclose(one, other, rtol=1e-12)
    assert both.table().role_of("pull") == "frozen"
    assert infer.log_density(both.free("pull")).size == 2
    data = both.with_data(w=W, t=T, y=Y + 1)
    assert infer.log_density(data)(jnp.array([0.4])) != one


def test_models_of_numpyro_and_trees_are_set_too():
    def model(y):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        numpyro.sample("nu", dist.Normal(mu, 1.0))
        numpyro.sample("y", dist.Normal(mu, 1.0), obs=y)

    density = infer.log_density(infer.from_numpyro(model, 1.0).do(mu=0.5))
    truth = stats.norm.logpdf(0.2, 0.5) + stats.norm.logpdf(1.0, 0.5)
    np.testing.assert_allclose(density(jnp.array([0.2])), truth, rtol=1e-12)
    tree = infer.tree_model(
        {"a": 1.0, "b": 2.0}, lambda t: -t["a"] * t["b"], {"**": dist.Normal(0.0, 1.0)}
    ).do(a=3.0)
    density = infer.log_density(tree)
    np.testing.assert_allclose(density(jnp.array([0.2])), stats.norm.logpdf(0.2) - 0.6)
    assert tree.tree({"b": 5.0})["a"] == 3.0


def test_what_cannot_be_held_is_refused():
    with pytest.raises(infer.ModelError, match="z: do sets it, but .* effect, pull, t, y"):
        MODEL.do(z=1.0)
    with pytest.raises(infer.ModelError, match=r"t: do sets it to a value of shape \(2,\)"):
        MODEL.do(t=np.zeros(2))
    with pytest.raises(infer.ModelError, match="y: a value is given .* no such latent site"):
        MODEL.condition(y=1.0)

    def series(site):
        site("mu", dist.Normal(0, 1))
        site.scan(lambda s, c, _: (s("x", dist.Normal(c, 1)), None), jnp.zeros(()), length=3)

    with pytest.raises(infer.ModelError, match="x: do sets a site that a scan declares"):
        infer.model(series).do(x=np.zeros(3))
