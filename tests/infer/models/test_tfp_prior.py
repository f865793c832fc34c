"""A model with distributions of TFP equals the model with those of NumPyro."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
from scipy import stats

import bijectors as bj
import infer
from bijectors.translate.tfp import from_tfp
from bijectors.translate.tfp_import import load_tfp
from infer.density.family import singleton
from infer.density.start import find_starts
from infer.models.priors.from_tfp import TfpDistribution
from infer.models.priors.prior import prior_of

tfp = load_tfp()
tfd = tfp.distributions
SCHOOLS = ["Choate", "Deerfield", "Phillips"]
Y, COUNTS = np.array([28.0, 8.0, -3.0]), np.array([3, 0, 5])


def double(value):
    return jnp.asarray(value, jnp.float64)


def schools(site, y, counts, d):
    # The same names and order of parameters in both libraries.
    mu = site("mu", d.Normal(double(0.0), double(5.0)))
    tau = site("tau", d.HalfNormal(double(3.0)))
    low = site("low", d.Uniform(-tau, 2 * tau))
    theta = site("theta", d.Normal(mu, tau), dims="school", centered=False)
    slope = site("slope", d.Weibull(concentration=double(2.0), scale=tau), dims="school")
    shares = site("shares", d.Dirichlet(double([1.0, 2.0, 3.0])))
    site.observe("y", d.Normal(theta + low, slope), y, dims="school")
    site.observe("counts", d.Poisson(1 + 9 * shares), counts, dims="school")


def density(d):
    model = infer.model(schools, y=Y, counts=COUNTS, d=d, coords={"school": SCHOOLS})
    return infer.log_density(model)


def test_log_density_and_gradient_are_those_of_numpyro():
    ours, theirs = density(tfd), density(dist)
    assert ours.labels() == theirs.labels()
    both = jax.jit(lambda q: [jax.value_and_grad(d)(q) for d in (ours, theirs)])
    for q in np.random.default_rng(0).standard_normal((3, theirs.size)):
        found, wanted = both(q)
        np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
        np.testing.assert_allclose(found[1], wanted[1], rtol=1e-9, atol=1e-12)


def test_sample_prior_draws_from_priors_of_tfp():
    """Two hundred draws of two sites; with a random key, a false alarm in 10,000 runs."""
    points, _ = find_starts(singleton(density(tfd)), np.array([0, 1], np.uint32), ["prior"] * 200)
    assert points.positions.dtype == np.float64
    mu, tau = points.positions[:, 0], np.exp(points.positions[:, 1])
    assert stats.kstest(mu, stats.norm(0, 5).cdf).pvalue > 1e-4 / 2
    assert stats.kstest(tau, stats.halfnorm(0, 3).cdf).pvalue > 1e-4 / 2


SAME = [
    tfd.Normal(double([0.0, 1.0]), double(2.0)),
    tfd.StudentT(double(4.0), double(1.0), double(2.0)),
    tfd.Cauchy(double(1.0), double(2.0)),
    tfd.Laplace(double(1.0), double(2.0)),
    tfd.Logistic(double(1.0), double(2.0)),
    tfd.Gumbel(double(1.0), double(2.0)),
    tfd.LogNormal(double(1.0), double(0.5)),
    tfd.Gamma(double(2.0), double(3.0)),
    tfd.Gamma(double(2.0), log_rate=double(-1.0)),
    tfd.Beta(double(2.0), double(3.0)),
    tfd.Dirichlet(double([1.0, 2.0, 3.0])),
    tfd.WishartTriL(double(4.0), double([[1.0, 0.0], [0.5, 2.0]])),
    tfd.CholeskyLKJ(3, double(2.0)),
    tfd.LKJ(3, double(2.0)),
    tfd.Independent(tfd.Normal(double([0.0, 1.0]), double(2.0)), 1),
]


@pytest.mark.parametrize("theirs", SAME, ids=lambda d: d.name)
def test_distributions_that_numpyro_has_are_replaced_by_equal_ones(theirs):
    prior = prior_of(theirs, "x")
    assert not isinstance(prior, TfpDistribution)
    assert (prior.batch_shape, prior.event_shape) == (theirs.batch_shape, theirs.event_shape)
    shape = theirs.batch_shape + theirs.event_shape
    bijector = bj.bijector_for(from_tfp(theirs), shape)

    @jax.jit
    def densities(y):
        values = jax.vmap(bijector.forward)(y)
        return prior.log_prob(values), theirs.log_prob(values)

    size = (5, *bijector.unconstrained_shape(shape))
    found, wanted = densities(np.random.default_rng(0).standard_normal(size))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_other_distributions_compute_their_own_density():
    theirs = tfd.Sample(tfd.Moyal(double([0.0, 1.0]), double(2.0)), 3)
    prior = prior_of(theirs, "x")
    assert (prior.batch_shape, prior.event_shape) == ((2,), (3,))

    @jax.jit
    def evaluate():
        draws = prior.expand((5, 2)).sample(jax.random.key(0))
        return draws, prior.log_prob(draws), theirs.log_prob(draws), prior.support(draws)

    draws, found, wanted, is_inside = evaluate()
    assert draws.shape == (5, 2, 3)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert np.asarray(is_inside).all()


def test_parameters_in_single_precision_do_not_stop_a_model_in_double_precision():
    # TFP converts Python's floats to float32, and some of its densities then refuse float64.
    model = infer.model(lambda site: site("x", tfd.GammaGamma(2.0, 2.0, 2.0), shape=(3,)))
    value, gradient = eqx.filter_jit(infer.log_density(model).evaluate)(np.zeros(3))
    wanted = 3 * tfd.GammaGamma(double(2.0), double(2.0), double(2.0)).log_prob(double(1.0))
    np.testing.assert_allclose(value, wanted, rtol=1e-5)
    assert gradient.dtype == jnp.float64


def test_a_constant_density_is_broadcast_to_all_rows():
    flat = TfpDistribution(tfd.FlatDirichlet(np.array([3])), "x")
    assert flat.log_prob(jnp.full((4, 3), 1 / 3)).shape == (4,)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        (tfd.Poisson(2.0), r"k: .*Poisson is discrete"),
        (tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)]), r"k: .*site for each"),
        (tfp.bijectors.Exp(), r"k: .*Exp.*is not a distribution"),
    ],
)
def test_distributions_that_cannot_be_priors_are_refused_by_site(prior, message):
    with pytest.raises(bj.BijectorError, match=message):
        infer.log_density(infer.model(lambda site: site("k", prior)))
