"""DADVI against a conjugate regression, and a gamma whose optimum has a closed form."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.engines.dadvi import measure_error
from infer.numerics.fixed_draw_elbo import compute_response, evaluate_loss
from infer.numerics.fixed_draws import draw_balanced
from infer.target import Target

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)) @ np.array([[1, 0.9, 0], [0, 1, 0.5], [0, 0, 1]])
Y = X @ np.array([1.0, 2.0, -1.0]) + RNG.normal(size=50)
PRECISION = X.T @ X + np.eye(3) / 9
COVARIANCE = np.linalg.inv(PRECISION)
MEAN = COVARIANCE @ X.T @ Y


def regression(site, x, y):
    b = site("b", dist.Normal(0.0, 3.0), shape=(3,))
    site.observe("y", dist.Normal(x @ b, 1.0), y)


MODEL = infer.model(regression, x=X, y=Y)


def quiet(engine, model=MODEL):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.FitWarning)
        return infer.fit(model, engine, progress=False)


@pytest.fixture(scope="module")
def fits():
    return {responds: quiet(infer.DADVI(linear_response=responds)) for responds in (False, None)}


def test_the_linear_response_is_the_covariance_of_a_normal_posterior(fits):
    fit = fits[None]
    assert fit.converged
    assert fit.findings == ()
    np.testing.assert_allclose(fit.distribution.mean, MEAN, atol=1e-5)
    factor = np.asarray(fit.distribution.factor)
    np.testing.assert_allclose(factor @ factor.T, COVARIANCE, rtol=1e-8)
    np.testing.assert_allclose(fit.distribution.log_scale, np.linalg.slogdet(factor)[1])


def test_mean_field_equals_the_analytic_optimum(fits):
    """With as many pairs of draws as coordinates, expectations of quadratic functions are exact."""
    normal = fits[False].distribution
    np.testing.assert_allclose(normal.mean, MEAN, atol=1e-5)
    np.testing.assert_allclose(normal.scale, 1 / np.sqrt(np.diag(PRECISION)), rtol=1e-4)
    assert fits[False].family == "mean_field"
    assert fits[False].findings[0].kind == "failed_audit"


def test_gradients_of_all_draws_searches_and_products_are_counted(fits):
    searches = fits[False].n_gradients
    # At least two evaluations of each of the two searches, and one of a third from their end.
    assert searches >= 5 * 30
    assert searches % 30 == 0
    # A gradient, and three Hessian products of two each, at every draw.
    assert fits[None].n_gradients - searches == 30 * (1 + 2 * 3)


def test_balanced_draws_have_exact_moments():
    few = draw_balanced(jax.random.key(0), jnp.zeros((10, 4)))
    np.testing.assert_allclose(few.T @ few, 10 * np.eye(4), atol=1e-12)
    many = draw_balanced(jax.random.key(0), jnp.zeros((10, 40)))
    np.testing.assert_allclose(many.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose((many**2).mean(0), 1, rtol=1e-12)


class Quartic(Target):
    """A density whose Hessian depends on where it is."""

    @property
    def size(self):
        return 3

    @property
    def offers(self):
        return frozenset({"value", "gradient"})

    def evaluate(self, position):
        return jax.value_and_grad(lambda x: -((x @ x) ** 2) - x[0] * x[1])(position)


def test_the_hessian_over_fixed_draws_is_that_of_the_loss():
    noise = draw_balanced(jax.random.key(0), jnp.zeros((4, 3)))
    here = jnp.asarray(RNG.normal(size=6))

    @jax.jit
    def both(here):
        loss = lambda at: evaluate_loss(Quartic(), at, noise)  # noqa: E731
        exact = jax.hessian(lambda at: loss(at)[0])(here)
        slopes = jax.grad(lambda at: loss(at)[0])(here)
        return exact, slopes, compute_response(Quartic(), here, noise), loss(here)[1]

    exact, slopes, found, gradient = both(here)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-10)
    np.testing.assert_allclose(found, exact, rtol=1e-10, atol=1e-10)


@pytest.fixture(scope="module")
def gammas():
    """Fit log(x) for x ~ Gamma(3, 1): its best normal has mean log(3) - sd^2 / 2, sd 3^-1/2."""
    model = infer.model(lambda site: site("x", dist.Gamma(3.0, 1.0)))
    few = infer.DADVI(draws=8, max_draws=8, tolerance=1e-5)
    return {8: quiet(few, model), 256: quiet(infer.DADVI(draws=8), model)}


def test_draws_are_doubled_until_the_optimum_is_known(gammas):
    fit = gammas[256]
    assert fit.converged
    error = (float(fit.distribution.mean[0]) - (np.log(3.0) - 1 / 6)) * np.sqrt(3.0)
    assert abs(error) < 0.1
    assert "optimum known to 0.0" in repr(fit)


def test_the_linear_response_widens_a_skewed_posterior(gammas):
    """With a tilt of t log(x) the mean is log(3 + t) - 1 / (6 + 2 t), with slope 7 / 18 at 0."""
    np.testing.assert_allclose(gammas[256].distribution.sd, np.sqrt(7 / 18), rtol=0.02)


def test_too_few_draws_are_reported(gammas):
    found = gammas[8]
    assert not found.converged
    assert found.findings[0].kind == "too_few_draws"
    assert "max_draws=" in found.findings[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"family": "full_rank"}, "no maximum unless there are more draws"),
        ({"family": "mean_feild"}, 'Did you mean "mean_field"'),
        ({"draws": 1}, "draws come in pairs"),
        ({"draws": 10, "max_draws": 5}, "at least as many"),
        ({"tolerance": 0.0}, "positive"),
    ],
)
def test_mistaken_settings_are_refused(settings, words):
    with pytest.raises(infer.EngineError, match=words):
        infer.DADVI(**settings)


def test_a_fit_without_epochs_refuses_their_number():
    with pytest.raises(infer.EngineError, match="it has no epochs"):
        infer.fit(MODEL, infer.DADVI(), epochs=3)


def test_the_bound_of_the_error_is_too_low_in_one_case_of_ten_at_most():
    """Of 2000 cases, within four standard errors."""
    noise = np.random.default_rng(0).normal(size=(2000, 3, 2)) / np.sqrt([[1], [1], [2]])
    optima = [0.0, -1.0] + 0.1 * noise * [np.exp(-1.0), 1.0]
    bounds = np.array([measure_error(own, np.array([1, 1, 2])) for own in optima])
    # Two optima of 2 draws each, of an error of 0.1 a draw.
    assert np.mean(bounds < 0.1 / np.sqrt(4)) < 0.1 + 4 * np.sqrt(0.1 * 0.9 / 2000)
