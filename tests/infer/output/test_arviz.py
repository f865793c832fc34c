"""Draws become data for the installed ArviZ, with dims, coords and data groups."""

import arviz as az
import numpy as np
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer

NAMES = ["a", "b", "c"]


def regression(site, x, y):
    slope = site("slope", dist.Normal(0, 2), dims="feature")
    noise = site("noise", dist.HalfNormal(1.0))
    mean = site.derive("mean", x @ slope, dims="case")
    site.observe("y", dist.Normal(mean, noise), y, dims="case")


@pytest.fixture(scope="module")
def idata():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3))
    model = infer.model(
        regression, x=x, y=x.sum(1) + rng.normal(size=20), coords={"feature": NAMES}
    )
    return infer.sample(model, chains=2, draws=300, warmup=200)


def test_posterior_has_dims_and_coords(idata):
    posterior = idata["posterior"]
    assert posterior["slope"].dims == ("chain", "draw", "feature")
    assert posterior["mean"].dims == ("chain", "draw", "case")
    assert list(posterior["feature"].values) == NAMES
    assert posterior["noise"].shape == (2, 300)
    assert (posterior["noise"] > 0).all()


def test_derived_values_follow_from_the_draws(idata):
    x = np.asarray(idata["constant_data"]["x"])
    mean = np.einsum("ij,cdj->cdi", x, np.asarray(idata["posterior"]["slope"]))
    np.testing.assert_allclose(idata["posterior"]["mean"], mean, rtol=1e-10)


def test_statistics_have_their_types(idata):
    stats = idata["sample_stats"]
    assert stats["diverging"].dtype == bool
    assert stats["n_steps"].dtype == np.int32
    assert {"lp", "acceptance_rate", "energy", "tree_depth", "step_size"} <= set(stats.data_vars)


def test_observed_and_constant_data_are_in_separate_groups(idata):
    assert set(idata["observed_data"].data_vars) == {"y"}
    assert idata["observed_data"]["y"].dims == ("case",)
    assert set(idata["constant_data"].data_vars) == {"x"}


def test_arviz_summarizes_a_result(idata):
    summary = az.summary(idata, var_names=["slope", "noise"])
    assert list(summary.index) == ["slope[a]", "slope[b]", "slope[c]", "noise"]
    assert (summary["r_hat"].astype(float) < 1.05).all()


def test_attributes_record_how_a_result_was_made(idata):
    attributes = idata.attrs
    # Two chains, a leapfrog a draw at least.
    assert attributes["warmup_gradients"] >= 2 * attributes["warmup_draws"]
    assert attributes["engine"].startswith("NUTS(")
    assert attributes["jacobian"] == 1
    assert attributes["bijectors"] == "slope: Identity, noise: Exp"
    assert attributes["warmup_planned"] == 200
    assert 0 < attributes["warmup_draws"] <= 200
    assert attributes["sampling_seconds"] > 0


def test_complex_values_are_split_into_two_parts():
    model = infer.declared(lambda v: -(abs(v["z"]) ** 2), {"z": bj.Complex()})
    posterior = infer.sample(model, draws=10, warmup=10, chains=2, progress=False, key=0).posterior
    assert sorted(posterior.data_vars) == ["z.imag", "z.real"]
    assert posterior["z.real"].dtype == float
