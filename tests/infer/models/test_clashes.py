"""Names that clash in a result are refused before anything compiles, for every front end."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer
from infer.models.survey import survey


def declared(name, dims=None, data=None):
    density = lambda v: -0.5 * sum((a**2).sum() for a in v.values())  # noqa: E731
    sites = {name: bj.Real(shape=(3,)), "other": bj.Real()}
    return infer.declared(density, sites, dims=dims)


def dsl(name, dims=None):
    def program(site):
        site(name, dist.Normal(0, 1).expand([3]), dims=(dims or {}).get(name))
        site("other", dist.Normal(0, 1))

    return infer.model(program)


def in_numpyro(name, dims=None):
    def program():
        numpyro.sample(name, dist.Normal(0, 1).expand([3]).to_event(1))
        numpyro.sample("other", dist.Normal(0, 1))

    return infer.from_numpyro(program, dims=dims)


FRONTS = pytest.mark.parametrize("front", [declared, dsl, in_numpyro])


@FRONTS
@pytest.mark.parametrize("name", ["draw", "chain", "dataset", "other_dim_0"])
def test_a_site_named_like_an_axis_of_every_result_is_refused(front, name):
    if name == "other_dim_0":
        survey(front(name))
    else:
        with pytest.raises(infer.ModelError, match=f"{name}: its name is that of an axis"):
            survey(front(name))


@FRONTS
@pytest.mark.parametrize("dims", [("draw",), ("chain",), ("x",), ("other",)])
def test_a_dimension_named_like_an_axis_or_a_site_is_refused(front, dims):
    with pytest.raises(
        infer.ModelError, match="(so that no result could hold both|share the name). Give"
    ):
        survey(front("x", {"x": dims}))


def test_derived_and_observed_sites_are_asked_too():
    def program(site, y):
        mu = site("mu", dist.Normal(0, 1))
        site.derive("draw", 2 * mu)
        site.observe("y", dist.Normal(mu, 1), y)

    with pytest.raises(infer.ModelError, match="draw: its name"):
        survey(infer.model(program, y=np.ones(3)))


def test_data_may_be_named_like_a_site():
    """Data are in another group, with their own axes."""

    def program(site, mu, y):
        location = site("mu", dist.Normal(mu.mean(), 1))
        site.observe("y", dist.Normal(location, 1), y)

    model = infer.model(program, mu=np.arange(4.0), y=np.ones(3))
    found = infer.start(model, infer.NUTS(), chains=1, warmup=0, progress=False).advance(1)
    data = infer.to_arviz(found)
    np.testing.assert_array_equal(data["constant_data"]["mu"], np.arange(4.0))
    assert data["posterior"]["mu"].shape == (1, 1)
    assert jnp.ndim(data["observed_data"]["y"]) == 1


def test_an_error_after_sampling_keeps_the_run(monkeypatch):
    def fail(run):
        raise ValueError("conflicting sizes")

    model = declared("x")
    options = {"chains": 1, "warmup": 0, "draws": 3, "progress": False}
    with monkeypatch.context() as patch:
        patch.setattr("infer.output.result.to_arviz", fail)
        with pytest.raises(infer.RunError, match="ValueError: conflicting sizes") as caught:
            infer.sample(model, infer.NUTS(), **options)
    assert caught.value.run.draws().positions.shape == (1, 3, 4)
    assert infer.to_arviz(caught.value.run)["posterior"]["x"].shape == (1, 3, 3)


@pytest.mark.parametrize("name", ["draw", "chain"])
def test_predictions_and_priors_are_asked_too(name):
    def program(site, y):
        mu = site("mu", dist.Normal(0, 1))
        site.observe(name, dist.Normal(mu, 1), y)

    model = infer.model(program, y=np.zeros(2))
    with pytest.raises(infer.ModelError, match=f"{name}: its name is that of an axis"):
        infer.sample_prior(model, 3)
    with pytest.raises(infer.ModelError, match=f"{name}: its name is that of an axis"):
        infer.predict(model, {"mu": np.zeros((1, 2))})
