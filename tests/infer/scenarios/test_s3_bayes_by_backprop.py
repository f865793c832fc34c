"""S3: the model part of Bayes by Backprop (WeightUncertainty issue 31)."""

from itertools import combinations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.numerics.families.mean_field import IndependentNormal

RNG = np.random.default_rng(0)
X = RNG.normal(size=(7, 2))
Y = (X.sum(1) > 0).astype(int)
NET = eqx.nn.MLP(2, 2, 3, 1, activation=jnp.tanh, key=jax.random.key(0))


def scale_mixture(narrow=0.0025, dtype=float):
    """Make the prior of the paper's equation 7: two zero-mean normals, one of them narrow."""
    parts = dist.Normal(jnp.zeros((), dtype), jnp.array([1.0, narrow], dtype))
    return dist.MixtureSameFamily(dist.Categorical(probs=jnp.array([0.5, 0.5], dtype)), parts)


def rows(net, data):
    logits = jax.vmap(net)(data["x"])
    return dist.Categorical(logits=logits).log_prob(data["y"])


def network(minibatch=None, prior=None, net=NET, x=X):
    leaves = {"layers.*.*": infer.Leaf(scale_mixture() if prior is None else prior)}
    data = {"x": x, "y": Y}
    return infer.tree_model(net, rows, leaves, data=data, minibatch=minibatch)


DENSITY = infer.log_density(network())
SIZE = DENSITY.size
MU, RHO = jnp.asarray(RNG.normal(size=SIZE)), jnp.asarray(RNG.normal(size=SIZE) - 1)


@eqx.filter_jit
def ours(density, mu, rho, noise, estimator):
    """Compute minus the gradients of the ELBO for mu and rho, from the engine's own steps."""
    normal = IndependentNormal(mu, jax.nn.softplus(rho))
    gradients = jax.vmap(density.evaluate)(jax.vmap(normal.forward)(noise))[1]
    step = normal.ascent(noise, gradients, estimator)
    return -step.mean / normal.scale, -step.scale / normal.scale * jax.nn.sigmoid(rho)


def paper_s_cost(weights, mu, rho):
    """Compute f(w, theta) = log q(w | theta) - log P(w) P(D | w) of the paper's section 3.2."""
    log_q = dist.Normal(mu, jax.nn.softplus(rho)).log_prob(weights).sum()
    shapes = [leaf.shape for leaf in jax.tree.leaves(eqx.filter(NET, eqx.is_array))]
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    pieces = [p.reshape(s) for p, s in zip(jnp.split(weights, ends), shapes, strict=True)]
    structure = jax.tree.structure(eqx.filter(NET, eqx.is_array))
    net = eqx.combine(jax.tree.unflatten(structure, pieces), NET)
    wide, narrow = dist.Normal(0.0, 1.0), dist.Normal(0.0, 0.0025)
    log_prior = jnp.logaddexp(wide.log_prob(weights), narrow.log_prob(weights)) - jnp.log(2.0)
    return log_q - log_prior.sum() - rows(net, {"x": X, "y": Y}).sum()


def test_s3_1_gradients_equal_those_of_steps_5_and_6_of_the_paper():
    """They are those of `estimator="total"`; the default omits the last terms, of mean zero."""
    noise = jnp.asarray(RNG.normal(size=SIZE))
    weights = MU + jnp.log1p(jnp.exp(RHO)) * noise
    by_weight, by_mu, by_rho = jax.jit(jax.grad(paper_s_cost, (0, 1, 2)))(weights, MU, RHO)
    slope = noise / (1 + jnp.exp(-RHO))
    delta_mu, delta_rho = by_weight + by_mu, by_weight * slope + by_rho
    total = ours(DENSITY, MU, RHO, noise[None], "total")
    np.testing.assert_allclose(total[0], delta_mu, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(total[1], delta_rho, rtol=1e-6, atol=1e-9)
    path = ours(DENSITY, MU, RHO, noise[None], "path")
    np.testing.assert_allclose(path[0], by_weight, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(path[1], by_weight * slope, rtol=1e-6, atol=1e-9)


def test_s3_1_both_estimators_have_the_same_mean():
    """The noise is plus and minus each unit vector, whose first and second moments are exact."""
    noise = jnp.concatenate([jnp.eye(SIZE), -jnp.eye(SIZE)]) * np.sqrt(SIZE)
    total, path = (ours(DENSITY, MU, RHO, noise, e) for e in ("total", "path"))
    for one, other in zip(total, path, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8)


EPOCHS = {"even": [2, 2, 2], "ragged": [3, 3, 1], "mnist": [128] * 468 + [96], "one": [7]}


@pytest.mark.parametrize("schedule", ["uniform", "rows", "linear", "blundell"])
@pytest.mark.parametrize("epoch", EPOCHS)
def test_s3_2_the_weights_of_the_divergence_sum_to_one(schedule, epoch):
    shares = infer.kl_weights(EPOCHS[epoch], schedule)
    np.testing.assert_allclose(shares.sum(), 1, rtol=1e-12)
    if schedule == "blundell":
        # The formula of the paper, in Python integers, which do not overflow; i runs from 1.
        count = len(shares)
        exact = [2 ** (count - i) / (2**count - 1) for i in range(1, count + 1)]
        np.testing.assert_allclose(shares, exact, rtol=1e-12)


@pytest.mark.parametrize("schedule", ["uniform", "rows", "linear", "blundell"])
def test_s3_2_the_gradients_of_an_epoch_add_up_to_the_full_gradient(schedule):
    """Batches of 3, 3 and 1 rows, each with its share of log q and of the prior."""
    density = infer.log_density(network(minibatch=3))
    weights = MU

    def cost(weights, mu, batch, share):
        """Compute F_i of the paper's equation 8 from the terms of our density."""
        terms = density.on({"data": batch}).terms(weights)
        likelihood = terms.pop("log_likelihood") * batch.shape[0] / 7
        log_q = dist.Normal(mu, 0.1).log_prob(weights).sum()
        return share * (log_q - sum(terms.values())) - likelihood

    batches = [jnp.arange(0, 3), jnp.arange(3, 6), jnp.arange(6, 7)]
    shares = infer.kl_weights([3, 3, 1], schedule)
    gradient = jax.jit(jax.grad(cost, (0, 1)))
    parts = [gradient(weights, MU, b, s) for b, s in zip(batches, shares, strict=True)]
    whole = gradient(weights, MU, jnp.arange(7), 1.0)
    for i in (0, 1):
        np.testing.assert_allclose(sum(p[i] for p in parts), whole[i], rtol=1e-9, atol=1e-9)


def test_s3_2_the_mean_gradient_over_all_minibatches_is_the_full_gradient():
    """For the engine's own step, all 35 minibatches of 3 of 7 rows, and two draws of weights."""
    density = infer.log_density(network(minibatch=3))
    noise = jnp.asarray(RNG.normal(size=(2, SIZE)))
    subsets = jnp.array(list(combinations(range(7), 3)))

    @jax.jit
    @jax.vmap
    def steps(batch):
        return ours(density.on({"data": batch}), MU, RHO, noise, "path")

    whole = ours(DENSITY, MU, RHO, noise, "path")
    for found, truth in zip(steps(subsets), whole, strict=True):
        np.testing.assert_allclose(found.mean(0), truth, rtol=1e-9, atol=1e-9)


def test_s3_2_the_divergence_does_not_grow_with_the_number_of_draws():
    noise = jnp.asarray(RNG.normal(size=(1, SIZE)))
    for estimator in ("path", "total"):
        one = ours(DENSITY, MU, RHO, noise, estimator)
        many = ours(DENSITY, MU, RHO, jnp.tile(noise, (5, 1)), estimator)
        for found, truth in zip(many, one, strict=True):
            np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-12)


@eqx.filter_jit
def evaluate(density, positions):
    return jax.vmap(density)(positions)


def test_s3_3_single_precision_is_finite_from_rho_minus_40_to_40():
    single = jax.tree.map(lambda a: a.astype(np.float32) if eqx.is_array(a) else a, NET)
    prior = scale_mixture(1e-4, np.float32)
    density = infer.log_density(network(None, prior, single, X.astype(np.float32)))
    noise = jnp.asarray(RNG.normal(size=(2, SIZE)), np.float32)
    for mean in (0.0, 1e-4, 1.0, 100.0):
        mu = jnp.full(SIZE, mean, np.float32)
        for rho in np.linspace(-40.0, 40.0, 9):
            spread = jnp.full(SIZE, rho, np.float32)
            normal = IndependentNormal(mu, jax.nn.softplus(spread))
            values = evaluate(density, jax.vmap(normal.forward)(noise))
            log_q = jax.vmap(normal.log_density_of_noise)(noise)
            assert values.dtype == log_q.dtype == np.float32
            assert np.isfinite(values - log_q).all()
            for estimator in ("path", "total"):
                for gradient in ours(density, mu, spread, noise, estimator):
                    assert gradient.dtype == np.float32
                    assert np.isfinite(gradient).all()


def test_s3_3_the_prior_is_accurate_where_a_sum_of_densities_underflows():
    """The repository's log(pi exp(a) + (1 - pi) exp(b)) gives -inf for a weight of 40."""
    weights = np.array([0.0, 3e-4, 40.0, 1e4], np.float32)
    found = jax.jit(scale_mixture(1e-4, np.float32).log_prob)(weights)
    wide, narrow = (dist.Normal(0.0, s).log_prob(np.asarray(weights, float)) for s in (1.0, 1e-4))
    np.testing.assert_allclose(found, np.logaddexp(wide, narrow) - np.log(2.0), rtol=1e-5)


@pytest.mark.slow
def test_s3_4_a_conjugate_regression_converges_to_the_best_mean_field():
    """The best independent normal has the posterior's mean and variances 1 / precision."""
    x = RNG.normal(size=(40, 2)) @ np.array([[1.0, 0.8], [0.0, 1.0]])
    y = x @ np.array([1.0, 2.0]) + RNG.normal(size=40)

    def regression(site, x, y):
        slope = site("slope", dist.Normal(0.0, 3.0), shape=(2,))
        site.observe("y", dist.Normal(x @ slope, 1.0), y)

    precision = x.T @ x + np.eye(2) / 9
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    fit = infer.fit(infer.model(regression, x=x, y=y), infer.ADVI(batch=64, tolerance=0.002))
    truth = np.linalg.solve(precision, x.T @ y)
    np.testing.assert_allclose((fit.distribution.mean - truth) / sd, 0, atol=0.01)
    np.testing.assert_allclose(fit.distribution.scale, 1 / np.sqrt(np.diag(precision)), rtol=0.01)


@pytest.mark.slow
def test_s3_5_digits_are_read_as_well_with_three_quarters_of_the_weights_pruned():
    """The standard error of an accuracy of 0.9 on 397 digits is 0.015."""
    datasets = pytest.importorskip("sklearn.datasets")
    pixels, digit = datasets.load_digits(return_X_y=True)
    train, test = ({"x": pixels[own] / 16, "y": digit[own]} for own in (np.s_[:1400], np.s_[1400:]))
    net = eqx.nn.MLP(64, 10, 32, 1, key=jax.random.key(0))
    leaves = {"layers.*.*": infer.Leaf(scale_mixture(0.05))}
    model = infer.tree_model(net, rows, leaves, data=train, minibatch=100)
    fit = infer.fit(model, epochs=60, key=1, progress=False)
    whole = infer.score_predictions(model.with_data(test), fit, draws=256)
    pruned = infer.score_predictions(model.with_data(test), fit.sample(256, prune=0.75))
    assert whole.accuracy > 0.88
    assert pruned.accuracy > whole.accuracy - 0.01
    # Uniform probabilities would have log 10 = 2.3.
    assert -whole.log_density / whole.observations < 0.5
    assert whole.calibration_error < 0.1
