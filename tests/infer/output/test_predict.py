"""Predictions and draws from the prior: moments, new data of another size, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import xarray

import bijectors as bj
import infer
from bijectors.translate.tfp_import import load_tfp
from tests.compilations import list_compilations

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 2))
Y = X @ np.array([1.0, -2.0])


def regression(site, x, y):
    slope = site("slope", dist.Normal(0.0, 2.0), shape=(2,))
    with site.plate("row", x.shape[0]):
        mean = site.derive("mean", x @ slope)
        site.observe("y", dist.Normal(mean, 0.5), y)


MODEL = infer.model(regression, x=X, y=Y, coords={"row": list("abcdef")})
SLOPES = np.array([[[1.0, -2.0]] * 300, [[0.5, 0.0]] * 300])


def posterior(**values):
    return {"posterior": xarray.Dataset({n: (_dims(a), a) for n, a in values.items()})}


def _dims(array):
    return ("chain", "draw", *(f"d{i}" for i in range(array.ndim - 2)))


def test_predictions_are_drawn_given_each_draw():
    """300 draws a chain; means within 5 standard errors, a false alarm in 100,000 each."""
    found = infer.predict(MODEL, posterior(slope=SLOPES), key=1)
    y = found["posterior_predictive"]["y"]
    assert y.dims == ("chain", "draw", "row")
    assert list(y["row"].values) == list("abcdef")
    truth = np.einsum("ij,cj->ci", X, SLOPES[:, 0])
    np.testing.assert_allclose(y.mean("draw"), truth, atol=5 * 0.5 / np.sqrt(300))
    np.testing.assert_allclose(np.std(y - truth[:, None]), 0.5, rtol=0.06)
    np.testing.assert_allclose(found["posterior_predictive"]["mean"][:, 0], truth, rtol=1e-12)
    np.testing.assert_array_equal(found["observed_data"]["y"], Y)


def test_new_data_may_have_another_size():
    new = MODEL.with_data(x=X[:2], y=None).with_coords(row=["p", "q"])
    found = infer.predict(new, posterior(slope=SLOPES))
    assert found["posterior_predictive"]["y"].shape == (2, 300, 2)
    assert list(found["posterior_predictive"]["row"].values) == ["p", "q"]
    assert "observed_data" not in found
    np.testing.assert_array_equal(found["constant_data"]["x"], X[:2])


def test_predictions_depend_only_on_key_and_draw():
    one, same, other = (
        np.asarray(infer.predict(MODEL, posterior(slope=s), key=k)["posterior_predictive"]["y"])
        for s, k in [(SLOPES, 1), (SLOPES[:, :10], 1), (SLOPES, 2)]
    )
    np.testing.assert_allclose(one[0, :10], same[0], rtol=1e-12)
    assert (one != other).all()
    assert len(np.unique(one)) == one.size


def groups(site, group, y, number):
    tau = site("tau", dist.HalfNormal(1.0))
    effect = site("effect", dist.Normal(0.0, tau), shape=(number,))
    site.observe("y", dist.Normal(effect[group], 0.1), y)


def test_effects_of_all_groups_may_be_redrawn():
    model = infer.model(groups, group=np.arange(3), y=None, number=3)
    drawn = {"tau": np.full((1, 2000), 2.0), "effect": np.zeros((1, 2000, 2))}
    found = infer.predict(model, posterior(**drawn), redraw=["effect"])["posterior_predictive"]
    np.testing.assert_allclose(found["y"].std(), np.hypot(2.0, 0.1), rtol=0.06)
    np.testing.assert_allclose(found["effect"].std(), 2.0, rtol=0.06)
    for wrong, said in (["effects"], "effects: redraw names it"), ("effect", "redraw: .*a list"):
        with pytest.raises(infer.ModelError, match=said):
            infer.predict(model, posterior(**drawn), redraw=wrong)


def test_a_site_that_the_posterior_does_not_have_is_drawn_with_a_warning():
    with pytest.warns(infer.ModelWarning, match=r"slope: the posterior does not .*redraw=\['slope"):
        infer.predict(MODEL, posterior(other=np.zeros((1, 500))))


def test_sample_prior_also_draws_predictions():
    found = infer.sample_prior(MODEL, 4000, key=3)
    assert found["prior"]["slope"].shape == (1, 4000, 2)
    np.testing.assert_allclose(found["prior"]["slope"].std(), 2.0, rtol=0.05)
    first, second = np.asarray(found["prior"]["slope"])[0].T
    noise = np.asarray(found["prior_predictive"]["y"] - found["prior"]["mean"])[0, :, 0]
    assert (abs(np.corrcoef([first, second, noise]) - np.eye(3)) < 5 / np.sqrt(4000)).all()
    mean = found["prior"]["mean"]
    np.testing.assert_allclose((found["prior_predictive"]["y"] - mean).std(), 0.5, rtol=0.05)
    assert found["observed_data"]["y"].shape == (6,)


def test_sites_and_observations_of_one_shape_are_drawn_independently():
    """Correlations of 4000 draws within 5 standard errors: a false alarm in 100,000 each."""

    def alike(site):
        for name in ("a", "b"):
            site(name, dist.Normal(0.0, 1.0))
        for name in ("y", "z"):
            site.observe(name, dist.Normal(0.0, 1.0), None)

    found = infer.sample_prior(infer.model(alike), 4000, key=5)
    draws = [found["prior"][n][0] for n in "ab"] + [found["prior_predictive"][n][0] for n in "yz"]
    assert (abs(np.corrcoef(draws) - np.eye(4)) < 5 / np.sqrt(4000)).all()


def test_a_frozen_site_keeps_its_value():
    frozen = MODEL.freeze(slope=np.array([0.0, 0.0])).with_coords(row=[1, 2])
    new = frozen.with_data(x=X[:2], y=None)
    found = infer.predict(new, posterior(unused=np.zeros((1, 500))))
    np.testing.assert_allclose(found["posterior_predictive"]["y"].std(), 0.5, rtol=0.15)


def test_missing_entries_are_predicted_too():
    def gappy(site, y, gone):
        mu = site("mu", dist.Normal(0.0, 1.0))
        site.observe("y", dist.Normal(mu, 1.0), y, missing=gone)

    gone = np.array([False, True])
    model = infer.model(gappy, y=np.zeros(2), gone=infer.static(gone))
    drawn = {"mu": np.zeros((1, 50)), "y.missing": np.full((1, 50, 1), 100.0)}
    found = infer.predict(model, posterior(**drawn))
    assert float(abs(found["posterior_predictive"]["y"]).max()) < 10
    np.testing.assert_array_equal(found["observed_data"]["y"], [0.0, np.nan])


def test_another_draw_of_the_same_shape_compiles_nothing():
    compiled = list_compilations()
    infer.predict(MODEL, posterior(slope=SLOPES), key=1)
    before = len(compiled)
    infer.predict(MODEL.with_data(x=X + 1), posterior(slope=SLOPES + 1), key=2)
    assert len(compiled) == before


def test_a_model_that_cannot_predict_is_refused():
    declared = infer.declared(lambda v: -(v["x"] ** 2), {"x": bj.Real()})
    with pytest.raises(infer.ModelError, match="no observation.*site.observe"):
        infer.predict(declared, posterior(x=np.zeros((1, 5))))
    with pytest.raises(infer.ModelError, match="x: it has a constraint and no prior"):
        infer.sample_prior(declared)
    with pytest.raises(
        infer.ModelError, match="y: its value is None, so nothing was observed.*infer.predict"
    ):
        infer.log_density(MODEL.with_data(y=None))
    with pytest.raises(
        infer.ModelError, match="posterior: its values do not have the same leading axes"
    ):
        infer.predict(MODEL, {"slope": np.zeros(2), "b": jnp.zeros((3, 4))})


def test_a_prediction_for_a_missing_group_is_refused():
    def levels(site, group, y):
        level = site("level", dist.Normal(0.0, 1.0), shape=(3,))
        site.observe("y", dist.Normal(level[group], 1.0), y)

    model = infer.model(levels, group=np.array([0, 1, 2]), y=np.zeros(3))
    drawn = infer.sample_prior(model, 5)
    posterior = {"level": np.asarray(drawn["prior"]["level"])}
    new = model.with_data(group=np.array([2, 3]), y=None)
    with pytest.raises(infer.ModelError, match="group: the index 3 is out of range"):
        infer.predict(new, posterior)
    assert infer.predict(new.with_data(group=np.array([2, 0])), posterior) is not None


def numpyro_line(x, y=None):
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0))
    with numpyro.plate("row", x.shape[0]):
        numpyro.sample("y", dist.Normal(slope * x, 0.5), obs=y)


def tfp_line(x):
    tfd = load_tfp().distributions
    root = tfd.JointDistributionCoroutineAutoBatched.Root

    def parts():
        slope = yield root(tfd.Normal(jnp.zeros(()), 1.0, name="slope"))
        yield tfd.Normal(slope * x, 0.5, name="y")

    return tfd.JointDistributionCoroutineAutoBatched(parts)


def log_likelihood(values, data):
    return dist.Normal(values["slope"] * data["x"], 0.5).log_prob(data["y"])


def draw_line(key, values, data):
    noise = jax.random.normal(key, data["x"].shape)
    return {"y": values["slope"] * data["x"] + 0.5 * noise}


DATA = {"x": np.array([0.0, 10.0]), "y": np.zeros(2)}
FRONTS = {
    "numpyro": lambda y: infer.from_numpyro(numpyro_line, DATA["x"], y=y),
    "tfp": lambda y: infer.from_tfp(tfp_line, observed={"y": y}, x=DATA["x"]),
    "tree": lambda y: infer.tree_model(
        {"slope": 1.0}, log_likelihood, {"slope": dist.Normal(0.0, 1.0)},
        data=DATA | {"y": y}, simulate=draw_line,
    ),
    "declared": lambda y: infer.declared(
        lambda values, data: log_likelihood(values, data).sum(), {"slope": bj.Real()},
        data=DATA | {"y": y}, simulate=draw_line,
    ),
}  # fmt: skip


@pytest.mark.parametrize("front", FRONTS)
def test_every_front_end_predicts_what_was_observed_and_what_was_not(front):
    """400 draws; means within 5 standard errors."""
    for y in (DATA["y"], None):
        given = {"posterior": xarray.Dataset({"slope": (("chain", "draw"), np.ones((2, 200)))})}
        given["observed_data"] = xarray.Dataset({"y": ("y_dim_0", DATA["y"])})
        given["constant_data"] = xarray.Dataset({"x": ("x_dim_0", DATA["x"])})
        found = infer.predict(FRONTS[front](y), given)["posterior_predictive"]
        means = found["y"].mean(("chain", "draw"))
        np.testing.assert_allclose(means, [0.0, 10.0], atol=5 * 0.5 / np.sqrt(400))
    if front != "declared":
        assert infer.sample_prior(FRONTS[front](DATA["y"]), 5)["prior"]["slope"].shape == (1, 5)
