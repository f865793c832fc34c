"""Fits in coordinates in which it is learned how far sites are centered."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.density.family import singleton
from infer.density.recentered import Centering, find_pieces, in_own_coordinates, recenter
from infer.density.transport import move
from infer.output.fitted.handover import hand_over
from infer.run.recentered_fits import DRAWS, _read_spreads, _transport

ERROR = np.array([15.0, 10.0, 16.0, 11.0])
EFFECT = np.array([28.0, 8.0, -3.0, 7.0])


def schools(site, error):
    mu = site("mu", dist.Normal(0.0, 5.0))
    tau = site("tau", dist.HalfNormal(5.0))
    theta = site("theta", dist.Normal(mu, tau), shape=(4,))
    site.observe("effect", dist.Normal(theta, error), EFFECT)


@pytest.fixture(scope="module")
def model():
    return infer.model(schools, error=ERROR)


@pytest.fixture(scope="module")
def fits(model):
    """One with few data, and one whose data are a hundred times as exact."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        return infer.fit([model, model.with_data(error=ERROR / 100)], progress=False)


@pytest.fixture(scope="module")
def density(model):
    family = singleton(infer.log_density(model))
    pieces = find_pieces(family.shared)
    return recenter(family, Centering(pieces, np.array([0.0, 0.3, 0.7, 1.0]))).shared


@pytest.mark.slow
def test_each_model_gets_the_coordinates_that_suit_its_data(fits):
    few, many = (fit.density.degrees for fit in fits)
    assert few.mean() < 0.3
    assert many.mean() > 0.7


@pytest.mark.slow
def test_the_fits_are_near_enough_for_importance_weights(fits):
    # Where all degrees are 1 the first has 5 %, where they are 0 the second has 2 %.
    assert fits[0].ratios.ess > 0.4
    assert fits[1].ratios.ess > 0.3


@pytest.mark.slow
def test_the_reasons_name_the_sites(fits):
    assert "learned how far theta should be centered" in fits[0].reasons[-1]


@pytest.mark.slow
def test_values_are_in_the_model_s_own_units(fits):
    theta = np.asarray(fits[1].sample(2000)["posterior"]["theta"])[0]
    np.testing.assert_allclose(theta.mean(0), EFFECT, atol=0.1)
    np.testing.assert_allclose(theta.std(0), ERROR / 100, rtol=0.2)


@pytest.mark.slow
def test_the_elbo_per_datum_is_that_of_the_recentered_density(fits):
    split = fits[0].per_datum
    # Both parts are estimated, each from a thousand draws or more, with an error of 0.05 nats.
    assert 0 < split.divergence < 2
    np.testing.assert_allclose(split.elbo, split.likelihood - split.divergence, rtol=1e-9)


@pytest.mark.slow
def test_a_recentered_site_has_no_signal_at_zero(fits):
    assert "theta" not in fits[0].signal_to_noise
    assert "mu" in fits[0].signal_to_noise


def test_parts_sum_to_the_recentered_density(density):
    position = jnp.linspace(-0.5, 0.5, 6)
    parts = density.parts(position)
    np.testing.assert_allclose(parts.prior + parts.likelihood, density(position), rtol=1e-12)


def test_a_distribution_moves_by_the_derivative_of_the_map(density):
    rng = np.random.default_rng(0)
    mean, factor = jnp.asarray(0.3 * rng.normal(size=6)), jnp.asarray(rng.normal(size=(6, 6)))
    new, where = jnp.array([0.5, 0.3, 0.0, 0.2]), np.arange(2, 6)
    draws = jnp.zeros((DRAWS, 6))
    found = jax.tree.map(np.asarray, jax.jit(_read_spreads)(density, mean, factor, draws))
    old = np.asarray(density.degrees)
    moved, turned = _transport(mean[where], factor[where], old, new, found)
    there = lambda q: move(density, new, q, q).position  # noqa: E731
    np.testing.assert_allclose(moved, there(mean)[where], rtol=1e-10)
    exact = jax.jit(jax.jacfwd(there))(mean) @ factor
    np.testing.assert_allclose(turned, exact[where], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_a_sampler_begins_in_the_coordinates_of_the_fit(fits, model):
    fit, exact = fits[1], model.with_data(error=ERROR / 100)
    own = infer.log_density(exact)
    made = hand_over(own, fit.density, fit.distribution, fit.positions(512), infer.NUTS())
    assert made.degrees is not None
    np.testing.assert_allclose(made.degrees, fit.density.degrees, atol=0.4)
    started = infer.sample(exact, starts=fit, draws=500, key=1, progress=False)
    theta = np.asarray(started["posterior"]["theta"])
    np.testing.assert_allclose(theta.mean((0, 1)), EFFECT, atol=0.05)


@pytest.mark.slow
def test_the_tuning_of_a_sampler_that_learns_no_centering_is_in_the_density_s_coordinates(fits):
    fit = fits[1]
    tuning = fit.tuning(infer.NUTS(energy="path"))
    metric = getattr(tuning, "shared", tuning).metric
    sds = np.asarray(metric.to_model(jnp.ones(6)))[2:]
    np.testing.assert_allclose(sds, ERROR / 100, rtol=0.3)


@pytest.mark.slow
def test_a_stored_fit_goes_on_in_its_coordinates(model, tmp_path):
    where = str(tmp_path / "fit.zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        fit = infer.fit(model, store=where, progress=False)
        again = infer.resume(where, model, progress=False)
    np.testing.assert_array_equal(again.density.degrees, fit.density.degrees)
    np.testing.assert_array_equal(again.distribution.mean, fit.distribution.mean)


def test_own_coordinates_are_those_of_the_model(density, model):
    position = jnp.linspace(-0.5, 0.5, 6)
    own = in_own_coordinates(density)
    np.testing.assert_array_equal(own(position), infer.log_density(model)(position))
