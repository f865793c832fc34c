"""Laplace's method against normal posteriors, closed forms and eigenvalues."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from bijectors import Real
from infer.numerics.information import estimate_diagonal
from infer.numerics.lanczos import find_eigenpairs, tridiagonalize
from infer.numerics.local_normal import approximate_low_rank
from infer.target import Target

SLOPES, ROWS = 3, 50


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, SLOPES)) @ [[1, 0.9, 0], [0, 1, 0.5], [0, 0, 1]]
    y = x @ [1.0, 2.0, -1.0] + rng.normal(size=ROWS)

    def regress(site, x, y):
        slope = site("slope", dist.Normal(0.0, 3.0), shape=(SLOPES,))
        site.observe("y", dist.Normal(x @ slope, 1.0), y)

    precision = x.T @ x + np.eye(SLOPES) / 9
    exact = np.linalg.inv(precision)
    models = [infer.model(regress, x=x, y=own) for own in (y, -y)]
    fits = infer.fit(models, infer.Laplace(searches=2), progress=False)
    return models, fits, exact, exact @ x.T @ y


def covariance(fit):
    scale = np.asarray(fit.distribution.scale)
    return scale @ scale.T


def quiet(model, engine, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        return infer.fit(model, engine, progress=False, **options)


def kinds(fit):
    return [finding.kind for finding in fit.findings]


def test_a_normal_posterior_is_found_exactly_for_every_data_set(regression):
    _, fits, exact, mean = regression
    for fit, sign in zip(fits, (1, -1), strict=True):
        np.testing.assert_allclose(fit.distribution.mean, sign * mean, atol=1e-6)
        np.testing.assert_allclose(covariance(fit), exact, rtol=1e-10)
        assert fit.converged
        assert not fit.findings
    assert "mode found by 2 of 2 searches" in repr(fits[0])


def test_the_elbo_of_a_normal_posterior_is_its_evidence(regression):
    _, fits, exact, mean = regression
    fit = fits[0]
    top = float(fit.density(fit.distribution.mean))
    evidence = top + 0.5 * (SLOPES * np.log(2 * np.pi) + np.linalg.slogdet(exact)[1])
    np.testing.assert_allclose(fit.elbo, evidence, rtol=1e-9)


def test_a_fit_by_the_diagonal_has_the_scales_of_the_conditionals(regression):
    models, _, exact, _ = regression
    fit = quiet(models, infer.Laplace("diagonal", searches=2))[0]
    conditional = 1 / np.sqrt(np.diag(np.linalg.inv(exact)))
    np.testing.assert_allclose(fit.distribution.scale, conditional, rtol=1e-10)
    assert fit.family == "mean_field"


def test_the_mode_of_a_gamma_is_that_of_its_logarithm():
    # With the Jacobian the log density is 2 log(x) - x, with its mode at x = 2 and, in log(x), a
    # curvature of 2 there.
    model = infer.model(lambda site: site("x", dist.Gamma(2.0, 1.0)))
    fit = quiet(model, infer.Laplace(searches=2))
    np.testing.assert_allclose(fit.distribution.mean, [np.log(2.0)], atol=1e-6)
    np.testing.assert_allclose(fit.distribution.sd, [np.sqrt(0.5)], rtol=1e-6)
    # It is skewed, so the fit is not the posterior, and says so.
    assert kinds(fit) == ["failed_audit"]


@pytest.fixture(scope="module")
def wells():
    """Two narrow wells along the second coordinate, with a saddle between, and one that is broad.

    The broad one is lower, but has most of the mass. Far away there may be a shelf, which is flat.
    """

    def log_density(values, data):
        first, second = values["x"]
        narrow = -0.5 * first**2 - 12.5 * (second**2 - data["place"] ** 2) ** 2
        broad = -1.0 - 0.5 * first**2 - 0.05 * (second - 20.0) ** 2
        shelf = data["shelf"] - 0.5 * first**2 - jnp.maximum(jnp.abs(second - 60.0) - 1.0, 0.0)
        return jnp.logaddexp(jnp.logaddexp(narrow, broad + data["broad"]), shelf)

    def make(broad, place=2.0, shelf=-1e6):
        numbers = {"broad": broad, "place": place, "shelf": shelf}
        data = {name: np.asarray(value, float) for name, value in numbers.items()}
        return infer.declared(log_density, {"x": Real(shape=(2,))}, data=data)

    return make


def test_a_saddle_is_reported_and_has_no_scales(wells):
    fit = quiet(wells(-1e6), infer.Laplace(), starts={"x": np.array([1.0, 0.0])})
    assert kinds(fit) == ["saddle_point"]
    assert fit.findings[0].sites == ("x",)
    assert "x[1]" in fit.findings[0]
    assert not fit.converged
    assert np.isnan(np.asarray(fit.distribution.sd)).all()
    np.testing.assert_allclose(fit.distribution.mean, [0.0, 0.0], atol=1e-3)


def test_the_mode_of_largest_mass_is_chosen_and_the_others_are_named(wells):
    starts = [{"x": np.array([0.5, place])} for place in (-2.1, 2.1, 19.0)]
    fit = quiet(wells(0.0), infer.Laplace(), starts=starts)
    np.testing.assert_allclose(fit.distribution.mean, [0.0, 20.0], atol=1e-3)
    assert kinds(fit)[0] == "other_modes"
    # Narrow: exp(0) * 2 pi * 0.05; broad: exp(-1) * 2 pi * sqrt(10).
    share = np.exp(-1) * np.sqrt(10) / (np.exp(-1) * np.sqrt(10) + 2 * 0.05)
    assert f"{share:.1%} of the mass" in fit.findings[0]
    assert "differs most in x[1]" in fit.findings[0]


def test_a_higher_place_whose_mass_is_unknown_is_reported(wells):
    starts = [{"x": np.array([0.5, place])} for place in (-2.1, 2.1, 60.3)]
    fit = quiet(wells(-1e6, shelf=8.0), infer.Laplace(), starts=starts)
    np.testing.assert_allclose(np.abs(fit.distribution.mean), [0.0, 2.0], atol=1e-3)
    assert kinds(fit) == ["other_modes", "other_modes"]
    assert "8 nats above the mode" in fit.findings[1]
    assert "differs most in x[1]" in fit.findings[1]


def test_a_flat_direction_and_an_unbounded_density_are_reported():
    def log_density(values, data):
        first, second = values["x"]
        return -0.5 * (first + second) ** 2 + data["rise"] * (first - second) ** 2

    def make(rise):
        data = {"rise": np.asarray(rise)}
        return infer.declared(log_density, {"x": Real(shape=(2,))}, data=data)

    assert kinds(quiet(make(0.0), infer.Laplace(searches=2))) == ["flat_mode"]
    assert kinds(quiet(make(0.1), infer.Laplace(searches=2))) == ["unbounded_density"]


def test_epochs_are_refused():
    model = infer.model(lambda site: site("x", dist.Normal(0.0, 1.0)))
    with pytest.raises(infer.EngineError, match="Laplace: epochs=3 is given"):
        infer.fit(model, infer.Laplace(), epochs=3)


class Quadratic(Target):
    """A normal distribution with any precision."""

    precision: jax.Array

    @property
    def size(self):
        return len(self.precision)

    @property
    def offers(self):
        return frozenset({"value", "gradient"})

    def evaluate(self, position):
        gradient = -self.precision @ position
        return 0.5 * gradient @ position, gradient


def compiled(function, *arguments):
    return jax.jit(function)(*arguments)


SIZE, SPREAD = 60, (0.01, 0.02, 30.0, 30.0)


@pytest.fixture(scope="module")
def quadratic():
    """A precision that is the identity but for four directions, two of them equal, in own units."""
    rng = np.random.default_rng(3)
    vectors = np.linalg.qr(rng.normal(size=(SIZE, len(SPREAD))))[0]
    core = np.eye(SIZE) + vectors * (np.array(SPREAD) - 1) @ vectors.T
    units = 1 / np.sqrt(np.diag(core))
    return units[:, None] * core * units


def test_lanczos_finds_the_extreme_eigenvalues_as_often_as_they_occur(quadratic):
    noise = jnp.asarray(np.random.default_rng(0).normal(size=(30, SIZE)))
    run = jax.jit(lambda matrix, noise: tridiagonalize(lambda v: matrix @ v, noise))
    values, vectors = find_eigenpairs(run(jnp.asarray(quadratic), noise))
    exact = np.linalg.eigvalsh(quadratic)
    np.testing.assert_allclose(values[:2], exact[:2], rtol=1e-8)
    np.testing.assert_allclose(values[-2:], exact[-2:], rtol=1e-8)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(30), atol=1e-10)
    # An invariant subspace is left by a random vector.
    values, _ = find_eigenpairs(run(jnp.eye(SIZE), noise))
    np.testing.assert_allclose(values, 1.0)


def test_low_rank_keeps_the_directions_furthest_from_one(quadratic):
    units = np.exp(np.linspace(-3, 3, SIZE))
    precision = quadratic / units / units[:, None]
    found = approximate_low_rank(compiled, Quadratic(jnp.asarray(precision)), np.zeros(SIZE), SIZE)
    scale = np.asarray(found.distribution.scale)
    np.testing.assert_allclose(scale @ scale.T, np.linalg.inv(precision), rtol=1e-6, atol=1e-9)
    exact = -0.5 * np.linalg.slogdet(precision)[1]
    np.testing.assert_allclose(found.log_scale, exact, rtol=1e-10)
    few = approximate_low_rank(compiled, Quadratic(jnp.asarray(precision)), np.zeros(SIZE), 4)
    widest = np.sort(np.asarray(few.distribution.stretch))
    values = np.linalg.eigvalsh(quadratic)
    np.testing.assert_allclose(widest[-2:], 1 / np.sqrt(values[1::-1]), rtol=1e-6)


def test_low_rank_sees_negative_curvature(quadratic):
    vectors = np.linalg.eigh(quadratic)[1]
    bent = quadratic - 1.2 * np.linalg.eigvalsh(quadratic)[0] * np.outer(
        vectors[:, 0], vectors[:, 0]
    )
    found = approximate_low_rank(compiled, Quadratic(jnp.asarray(bent)), np.zeros(SIZE), 4)
    assert not found.is_definite
    assert found.lowest < 0


def test_a_long_diagonal_is_estimated_within_its_error():
    size = 5001
    diagonal = np.linspace(1.0, 2.0, size)

    class Chain(Target):
        """A precision with neighbors at 0.3."""

        @property
        def size(self):
            return size

        @property
        def offers(self):
            return frozenset({"value", "gradient"})

        def evaluate(self, position):
            ring = jnp.roll(position, 1) + jnp.roll(position, -1)
            gradient = -(jnp.asarray(diagonal) * position + 0.3 * ring)
            return 0.5 * gradient @ position, gradient

    found = -np.asarray(compiled(estimate_diagonal, Chain(), jnp.zeros(size)))
    # The standard error is 0.3 * sqrt(2) / 16; no entry of 5001 is off by six of them but with
    # probability 1e-5.
    np.testing.assert_allclose(found, diagonal, atol=6 * 0.3 * np.sqrt(2) / 16)
    assert np.abs(found - diagonal).std() > 0
