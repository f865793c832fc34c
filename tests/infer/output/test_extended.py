"""Results that predictions and prior draws extend: their groups, and what is left as it was."""

import subprocess
import sys

import arviz as az
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.numerics.families.mean_field import IndependentNormal
from infer.output.data.origin import find_run
from infer.output.data.versions import HAS_DATA_TREE, groups_of
from infer.output.predictive import simulate
from infer.programs import slices

RNG = np.random.default_rng(0)
X = RNG.normal(size=6)
Y = 2.0 * X + 0.5 * RNG.normal(size=6)
ROWS = list("abcdef")


def line(site, x, y):
    slope = site("slope", dist.Normal(0.0, 2.0))
    with site.plate("row", x.shape[0]):
        mean = site.derive("mean", slope * x)
        site.observe("y", dist.Normal(mean, 0.5), y)


MODEL = infer.model(line, x=X, y=Y, coords={"row": ROWS})
NEW = MODEL.with_coords(row=["p", "q"]).with_data(x=np.array([0.0, 10.0]), y=None)


@pytest.fixture(scope="module")
def data():
    return infer.sample(MODEL, infer.NUTS(), chains=2, draws=50, key=0, progress=False)


@pytest.fixture(scope="module")
def extended(data):
    both = infer.predict(NEW, infer.predict(MODEL, data, key=1), key=2)
    return infer.sample_prior(MODEL, 60, extend=both, key=3)


def test_all_groups_are_in_one_result(data, extended):
    wanted = {"posterior_predictive", "predictions", "predictions_constant_data", "prior"}
    assert set(groups_of(extended)) == set(groups_of(data)) | wanted | {"prior_predictive"}
    for name, group in groups_of(data).items():
        assert group.identical(groups_of(extended)[name])
    y, new = extended["posterior_predictive"]["y"], extended["predictions"]["y"]
    assert (y.dims, new.dims) == (("chain", "draw", "row"),) * 2
    assert (list(y["row"].values), list(new["row"].values)) == (ROWS, ["p", "q"])
    assert extended["prior_predictive"]["y"].shape == (1, 60, 6)
    np.testing.assert_array_equal(extended["predictions_constant_data"]["x"], [0.0, 10.0])
    assert extended.attrs["engine"] == data.attrs["engine"]


def test_a_result_that_is_extended_is_not_changed(data, extended):
    assert extended is not data
    assert set(groups_of(data)) == {
        "posterior", "sample_stats", "observed_data", "constant_data"
    }  # fmt: skip
    assert find_run(extended) is find_run(data)


def test_predictive_checks_are_plotted_in_one_line(extended):
    mpl.use("agg")
    if HAS_DATA_TREE:
        assert az.plot_ppc_dist(extended, num_samples=5) is not None
    else:
        assert az.plot_ppc(extended, num_pp_samples=5) is not None
        assert az.plot_ppc(extended, group="prior", num_pp_samples=5) is not None


@pytest.mark.parametrize(
    ("model", "group"),
    [
        (MODEL.with_data(y=None), "posterior_predictive"),
        (MODEL.with_data(x=X + 1.0), "predictions"),
        (MODEL.with_data(y=Y + 1.0), "predictions"),
        (MODEL.with_coords(row=list("ABCDEF")), "predictions"),
        (MODEL.do(slope=1.0), "predictions"),
    ],
    ids=["without y", "other x", "other y", "other labels", "intervention"],
)
def test_other_data_than_those_of_the_posterior_make_predictions(data, model, group):
    found = groups_of(infer.predict(model, data))
    assert found.keys() - groups_of(data).keys() - {"predictions_constant_data"} == {group}
    assert found["observed_data"].identical(groups_of(data)["observed_data"])


def test_an_approximation_is_drawn_from():
    normal = IndependentNormal(jnp.array([2.0]), jnp.array([1e-3]))
    losses, density = np.zeros(1), infer.log_density(MODEL)
    fitted = infer.Approximation(density, normal, "mean_field", losses, 0.0, True, {})
    found = infer.predict(MODEL, fitted, draws=300)
    assert found["posterior"]["slope"].shape == (1, 300)
    np.testing.assert_allclose(found["posterior_predictive"]["mean"].mean("draw")[0], 2 * X, 1e-3)
    sets = infer.predict([MODEL, MODEL.with_data(x=-X)], [fitted, fitted], draws=10)
    means = sets["posterior_predictive"]["mean"].mean(("chain", "draw"))
    np.testing.assert_allclose(means, [2 * X, -2 * X], rtol=5e-3)


def test_a_mode_is_repeated():
    """500 draws of noise; a false alarm in 10^6."""
    optimum = infer.maximize(MODEL, infer.MAP(space="constrained"), starts=1)
    found = infer.predict(MODEL, optimum, draws=500)["posterior_predictive"]
    assert found["y"].shape == (1, 500, 6)
    assert np.ptp(found["mean"].values, axis=1).max() == 0.0
    np.testing.assert_allclose((found["y"] - found["mean"]).std(), 0.5, rtol=0.07)
    with pytest.raises(infer.ModelError, match="an Optimum is one tree"):
        infer.map_trees(lambda tree: tree, MODEL, optimum)


def test_the_number_of_draws_of_a_posterior_is_its_own(data):
    with pytest.raises(infer.RunError, match="draws: .*has its own.*isel"):
        infer.predict(MODEL, data, draws=10)


def test_priors_of_several_models_have_a_dimension_of_models():
    found = infer.sample_prior([MODEL, MODEL.with_data(x=-X)], 50)
    assert found["prior"]["mean"].dims == ("chain", "draw", "dataset", "row")
    prior = found["prior"]
    signs = np.array([1.0, -1.0])[:, None]
    wanted = prior["slope"].values[..., None] * signs * X
    np.testing.assert_allclose(prior["mean"], wanted, rtol=1e-12)
    assert (prior["slope"][:, :, 0] != prior["slope"][:, :, 1]).all()
    np.testing.assert_array_equal(found["constant_data"]["x"], signs * X)


def wide(site, size):
    scale = site("scale", dist.HalfNormal(1.0))
    site.observe("y", dist.Normal(jnp.zeros(size), scale), None)


def test_slices_get_smaller_as_a_draw_gets_larger(monkeypatch):
    """One program serves all slices, and none of them needs more than the limit."""
    calls = []
    real = simulate.call_compiled

    def counting(function, *arguments, **static):
        calls.append(len(arguments[-1]))
        return real(function, *arguments, **static)

    monkeypatch.setattr(simulate, "call_compiled", counting)
    monkeypatch.setattr(slices, "MAX_BYTES", 2**16)
    posterior = {"scale": np.ones((2, 35))}
    found = infer.predict(infer.model(wide, size=500), posterior)["posterior_predictive"]["y"]
    assert len(set(calls)) == 1
    assert 1 < calls[0] * 500 * 8 <= 2**16
    assert sum(calls) - calls[0] < 70 <= sum(calls)
    assert len(np.unique(found)) == 70 * 500


PEAK = """
import resource
import sys
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import infer

def wide(site, size):
    scale = site("scale", dist.HalfNormal(1.0))
    site.observe("y", dist.Normal(jnp.zeros(size), scale), None)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

model, draws = infer.model(wide, size=20_000), int(sys.argv[1])
infer.predict(model, {"scale": np.ones((1, 1000))[:, :200]})
before = peak()
found = infer.predict(model, {"scale": np.ones((1, draws))})["posterior_predictive"]["y"]
print(peak() - before - found.nbytes)
"""


@pytest.mark.slow
def test_memory_beside_the_result_does_not_grow_with_the_draws():
    """Peak memory of processes of their own: for 1000 and 5000 draws of 20,000 numbers."""
    run = lambda draws: subprocess.run(  # noqa: E731
        [sys.executable, "-c", PEAK, str(draws)], capture_output=True, text=True, check=True
    )
    few, many = (int(run(draws).stdout) for draws in (1000, 5000))
    assert many < few + slices.MAX_BYTES
