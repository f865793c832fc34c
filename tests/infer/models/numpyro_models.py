"""Models after the examples of NumPyro's documentation, on data small enough to read.

Each name says which tutorial or example page the model follows.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro import handlers
from numpyro.contrib.control_flow import scan
from numpyro.distributions import constraints, transforms
from numpyro.infer.reparam import (
    CircularReparam,
    LocScaleReparam,
    ProjectedNormalReparam,
    TransformReparam,
)


class Example(NamedTuple):
    """A model and its arguments."""

    model: Callable[..., Any]
    args: tuple = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never written to


RNG = np.random.default_rng(20)
X = RNG.normal(size=(7, 3))
Y = X @ np.array([0.5, -1.0, 0.0]) + 0.1 * RNG.normal(size=7)
BINARY = np.array([0, 1, 1, 0, 1, 0, 0])
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def eight_schools(schools, sigma, y=None):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", schools):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
        numpyro.sample("obs", dist.Normal(theta, sigma), obs=y)


def schools_by_an_affine_base(schools, sigma, y=None):
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.HalfCauchy(5))
    with numpyro.plate("school", schools), handlers.reparam(config={"theta": TransformReparam()}):
        shifted = transforms.AffineTransform(mu, tau)
        theta = numpyro.sample("theta", dist.TransformedDistribution(dist.Normal(), shifted))
        numpyro.sample("obs", dist.Normal(theta, sigma), obs=y)


def logistic_regression(x, y=None):
    intercept = numpyro.sample("intercept", dist.Normal(0, 2))
    coefs = numpyro.sample("coefs", dist.Normal(jnp.zeros(x.shape[-1]), jnp.ones(x.shape[-1])))
    logits = numpyro.deterministic("logits", x @ coefs + intercept)
    with numpyro.plate("row", x.shape[0]):
        numpyro.sample("obs", dist.Bernoulli(logits=logits), obs=y)


def linear_regression(marriage, age, divorce=None):
    a = numpyro.sample("a", dist.Normal(0.0, 0.2))
    by_marriage = numpyro.sample("bM", dist.Normal(0.0, 0.5))
    by_age = numpyro.sample("bA", dist.Normal(0.0, 0.5))
    sigma = numpyro.sample("sigma", dist.Exponential(1.0))
    mu = numpyro.deterministic("mu", a + by_marriage * marriage + by_age * age)
    numpyro.sample("obs", dist.Normal(mu, sigma), obs=divorce)


def baseball(at_bats, hits=None):
    m = numpyro.sample("m", dist.Uniform(0, 1))
    kappa = numpyro.sample("kappa", dist.Pareto(1, 1.5))
    with numpyro.plate("player", at_bats.shape[0]):
        phi = numpyro.sample("phi", dist.Beta(m * kappa, (1 - m) * kappa))
        numpyro.sample("obs", dist.Binomial(at_bats, probs=phi), obs=hits)


def varying_effects(cafe, afternoon, cafes, wait=None):
    a = numpyro.sample("a", dist.Normal(5, 2))
    b = numpyro.sample("b", dist.Normal(-1, 0.5))
    sigma_cafe = numpyro.sample("sigma_cafe", dist.Exponential(jnp.ones(2)))
    sigma = numpyro.sample("sigma", dist.Exponential(1))
    rho = numpyro.sample("L_Rho", dist.LKJCholesky(2, 2.0))
    with numpyro.plate("cafe", cafes):
        effects = dist.MultivariateNormal(jnp.stack([a, b]), scale_tril=sigma_cafe[:, None] * rho)
        a_b_cafe = numpyro.sample("a_b_cafe", effects)
    mu = a_b_cafe[cafe, 0] + a_b_cafe[cafe, 1] * afternoon
    numpyro.sample("wait", dist.Normal(mu, sigma), obs=wait)


def gaussian_process(x, y=None):
    var = numpyro.sample("kernel_var", dist.LogNormal(0.0, 1.0))
    noise = numpyro.sample("kernel_noise", dist.LogNormal(0.0, 1.0))
    length = numpyro.sample("kernel_length", dist.LogNormal(0.0, 1.0))
    kernel = var * jnp.exp(-0.5 * ((x[:, None] - x) / length) ** 2)
    covariance = kernel + (noise + 1e-6) * jnp.eye(x.shape[0])
    numpyro.sample("Y", dist.MultivariateNormal(jnp.zeros(x.shape[0]), covariance), obs=y)


def stochastic_volatility(returns):
    step_size = numpyro.sample("sigma", dist.Exponential(5.0))
    walk = dist.GaussianRandomWalk(scale=step_size, num_steps=returns.shape[0])
    s = numpyro.sample("s", walk)
    nu = numpyro.sample("nu", dist.Exponential(0.1))
    numpyro.sample("r", dist.StudentT(df=nu, loc=0.0, scale=jnp.exp(s)), obs=returns)


def mixture(x, parts):
    weights = numpyro.sample("weights", dist.Dirichlet(jnp.full(parts, 2.0)))
    scale = numpyro.sample("scale", dist.LogNormal(0.0, 2.0))
    ordered = dist.ImproperUniform(constraints.ordered_vector, (), (parts,))
    locs = numpyro.sample("locs", ordered)
    numpyro.factor("locs_prior", dist.Normal(0.0, 10.0).log_prob(locs))
    with numpyro.plate("data", x.shape[0]):
        drawn = dist.MixtureSameFamily(dist.Categorical(probs=weights), dist.Normal(locs, scale))
        numpyro.sample("obs", drawn, obs=x)


def ordinal_regression(x, y, levels):
    b = numpyro.sample("b", dist.Normal(0, 1))
    anchored = dist.TransformedDistribution(
        dist.Dirichlet(jnp.ones(levels)), transforms.SimplexToOrderedTransform(anchor_point=0.0)
    )
    cutpoints = numpyro.sample("c_y", anchored)
    with numpyro.plate("obs", x.shape[0]):
        numpyro.sample("y", dist.OrderedLogistic(b * x, cutpoints), obs=y)


def horseshoe_regression(x, y=None):
    lambdas = numpyro.sample("lambdas", dist.HalfCauchy(jnp.ones(x.shape[1])))
    tau = numpyro.sample("tau", dist.HalfCauchy(1.0))
    raw = numpyro.sample("unscaled_betas", dist.Normal(0.0, jnp.ones(x.shape[1])))
    betas = numpyro.deterministic("betas", tau * lambdas * raw)
    precision = numpyro.sample("prec_obs", dist.Gamma(3.0, 1.0))
    numpyro.sample("Y", dist.Normal(x @ betas, 1.0 / jnp.sqrt(precision)), obs=y)


def censored_times(t, censored):
    mu = numpyro.sample("mu", dist.Normal(0, 2))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))
    with numpyro.plate("patient", t.shape[0]):
        with handlers.mask(mask=~censored):
            numpyro.sample("died", dist.LogNormal(mu, sigma), obs=t)
        survival = jax.scipy.stats.norm.logsf((jnp.log(t) - mu) / sigma)
        numpyro.factor("lived", jnp.where(censored, survival, 0.0))


def zero_inflated_poisson(x, fish=None):
    gate = numpyro.sample("gate", dist.Beta(1.0, 2.0))
    slope = numpyro.sample("slope", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    with numpyro.plate("group", x.shape[0]):
        rate = jnp.exp(x @ slope)
        numpyro.sample("obs", dist.ZeroInflatedPoisson(gate, rate), obs=fish)


def autoregression(y):
    phi = numpyro.sample("phi", dist.Uniform(-1.0, 1.0))
    sigma = numpyro.sample("sigma", dist.HalfNormal(1.0))

    def transition(previous, observed):
        level = numpyro.sample("level", dist.Normal(phi * previous, sigma))
        noise = numpyro.sample("noise", dist.Gamma(2.0, 3.0))
        numpyro.deterministic("twice", 2 * level)
        numpyro.sample("y", dist.Normal(level, noise), obs=observed)
        return level, None

    scan(transition, 0.0, y)


def item_response(students, items, answers):
    with numpyro.plate("item", items, dim=-1):
        difficulty = numpyro.sample("difficulty", dist.Normal(0.0, 2.0))
        discrimination = numpyro.sample("discrimination", dist.LogNormal(0.0, 0.5))
        with numpyro.plate("student", students, dim=-2):
            ability = numpyro.sample("ability", dist.Normal(0.0, 1.0))
            logits = discrimination * (ability - difficulty)
            numpyro.sample("answer", dist.Bernoulli(logits=logits), obs=answers)


def wind(directions):
    concentration = numpyro.sample("concentration", dist.Gamma(2.0, 1.0))
    with handlers.reparam(config={"unrolled": CircularReparam()}):
        loc = numpyro.sample("unrolled", dist.VonMises(0.0, 1.0))
    other = numpyro.sample("other", dist.VonMises(0.3, 2.0))
    numpyro.sample("direction", dist.VonMises(loc + other, concentration), obs=directions)


def neural_network(x, y, width):
    first = numpyro.sample("w1", dist.Normal(jnp.zeros((x.shape[1], width)), 1.0).to_event(2))
    second = numpyro.sample("w2", dist.Normal(0, 1).expand([width]).to_event(1))
    precision = numpyro.sample("prec_obs", dist.Gamma(3.0, 1.0))
    mean = jnp.tanh(x @ first) @ second
    with numpyro.plate("data", x.shape[0]):
        numpyro.sample("Y", dist.Normal(mean, 1.0 / jnp.sqrt(precision)), obs=y)


def imputation(age, missing, survived):
    mu = numpyro.sample("age_mu", dist.Normal(0, 1))
    sigma = numpyro.sample("age_sigma", dist.HalfNormal(1))
    guessed = dist.Normal(mu, sigma).expand([missing.shape[0]]).mask(False)
    guess = numpyro.sample("age_impute", guessed)
    whole = jnp.asarray(age).at[missing].set(guess)
    numpyro.sample("age", dist.Normal(mu, sigma), obs=whole)
    b = numpyro.sample("b_age", dist.Normal(0, 1))
    numpyro.sample("survived", dist.Bernoulli(logits=b * whole), obs=survived)


def varying_covariances(y):
    """Plates over matrices, a Wishart, and directions as NumPyro recommends them."""
    precision = numpyro.sample("precision", dist.Wishart(4.0, rate_matrix=jnp.eye(2)))
    with numpyro.plate("group", 2), handlers.reparam(config={"axis": ProjectedNormalReparam()}):
        corr = numpyro.sample("corr", dist.LKJ(2, 1.5))
        axis = numpyro.sample("axis", dist.ProjectedNormal(jnp.array([1.0, 0.5])))
    numpyro.factor("spread", -(corr**2).sum((-1, -2)))
    numpyro.sample("y", dist.MultivariateNormal(axis[0], precision_matrix=precision), obs=y)


def hidden_markov(words, states, vocabulary):
    """The forward algorithm as a factor, in a scan without sites."""
    start = numpyro.sample("start", dist.Dirichlet(jnp.ones(states)))
    rows = dist.Dirichlet(2.0 * jnp.eye(states) + 1.0).to_event(1)
    transition = numpyro.sample("transition", rows)
    emission = numpyro.sample(
        "emission", dist.Dirichlet(jnp.full((states, vocabulary), 0.7)).to_event(1)
    )

    def forward(reached, word):
        moved = jax.nn.logsumexp(reached[:, None] + jnp.log(transition), axis=0)
        return moved + jnp.log(emission[:, word]), None

    first = jnp.log(start) + jnp.log(emission[:, words[0]])
    last, _ = jax.lax.scan(forward, first, words[1:])
    numpyro.factor("words", jax.nn.logsumexp(last))


def holt_winters(y):
    """Exponential smoothing: level and trend follow the data in a scan without latent sites."""
    level_share = numpyro.sample("level_share", dist.Beta(2.0, 2.0))
    trend_share = numpyro.sample("trend_share", dist.Beta(2.0, 2.0))
    level = numpyro.sample("level", dist.Normal(0.0, 2.0))
    trend = numpyro.sample("trend", dist.Normal(0.0, 1.0))
    noise = numpyro.sample("noise", dist.HalfNormal(1.0))

    def transition(carry, observed):
        level, trend = carry
        mean = level + trend
        numpyro.sample("y", dist.Normal(mean, noise), obs=observed)
        moved = level_share * observed + (1 - level_share) * mean
        return (moved, trend_share * (moved - level) + (1 - trend_share) * trend), None

    scan(transition, (level, trend), y)


def lung_decline(patient, weeks, capacity=None):
    """Lines of patients that vary around those of all: pulmonary fibrosis."""
    mean_level = numpyro.sample("mu_a", dist.Normal(0.0, 10.0))
    spread_level = numpyro.sample("sigma_a", dist.HalfNormal(3.0))
    mean_slope = numpyro.sample("mu_b", dist.Normal(0.0, 3.0))
    spread_slope = numpyro.sample("sigma_b", dist.HalfNormal(1.0))
    with numpyro.plate("patient", 4):
        level = numpyro.sample("a", dist.Normal(mean_level, spread_level))
        slope = numpyro.sample("b", dist.Normal(mean_slope, spread_slope))
    sigma = numpyro.sample("sigma", dist.HalfNormal(3.0))
    with numpyro.plate("visit", patient.shape[0]):
        mean = level[patient] + slope[patient] * weeks
        numpyro.sample("capacity", dist.Normal(mean, sigma), obs=capacity)


def recaptured(captures, animals):
    """Capture and recapture, which sums over who was alive: a discrete latent site."""
    survival = numpyro.sample("phi", dist.Uniform(0.0, 1.0))
    with numpyro.plate("animal", animals):
        alive = numpyro.sample("alive", dist.Bernoulli(survival), infer={"enumerate": "parallel"})
        numpyro.sample("y", dist.Bernoulli(0.5 * alive), obs=captures)


EXAMPLES: dict[str, Example] = {
    "eight_schools": Example(eight_schools, (8, ERRORS), {"y": EFFECTS}),
    "eight_schools_decentered": Example(
        handlers.reparam(eight_schools, config={"theta": LocScaleReparam(0)}),
        (8, ERRORS),
        {"y": EFFECTS},
    ),
    "eight_schools_centered_by_half": Example(
        handlers.reparam(eight_schools, config={"theta": LocScaleReparam()}),
        (8, ERRORS),
        {"y": EFFECTS},
    ),
    "eight_schools_affine": Example(schools_by_an_affine_base, (8, ERRORS), {"y": EFFECTS}),
    "logistic_regression": Example(logistic_regression, (X,), {"y": BINARY}),
    "linear_regression": Example(linear_regression, (X[:, 0], X[:, 1]), {"divorce": Y}),
    "baseball": Example(baseball, (np.array([45, 40, 38, 52]), np.array([18, 12, 9, 20]))),
    "varying_effects": Example(
        varying_effects, (np.arange(7) % 3, np.arange(7) % 2, 3), {"wait": 4 + Y}
    ),
    "gaussian_process": Example(gaussian_process, (X[:, 0],), {"y": Y}),
    "stochastic_volatility": Example(stochastic_volatility, (0.1 * Y,)),
    "mixture": Example(mixture, (np.concatenate([Y, Y + 4]), 3)),
    "ordinal_regression": Example(
        ordinal_regression, (X[:, 0], np.array([0, 2, 1, 1, 0, 2, 3]), 4)
    ),
    "horseshoe_regression": Example(horseshoe_regression, (X,), {"y": Y}),
    "censored_times": Example(censored_times, (np.exp(Y), BINARY.astype(bool))),
    "zero_inflated_poisson": Example(
        zero_inflated_poisson, (X,), {"fish": np.array([0, 3, 1, 0, 0, 2, 5])}
    ),
    "autoregression": Example(autoregression, (Y,)),
    "item_response": Example(item_response, (5, 4, np.arange(20).reshape(5, 4) % 3 % 2)),
    "wind": Example(wind, (np.array([0.3, -0.2, 1.0, 3.0]),)),
    "neural_network": Example(neural_network, (X, Y, 4)),
    "imputation": Example(imputation, (Y, np.array([1, 4]), BINARY)),
    "hidden_markov": Example(hidden_markov, (np.array([0, 1, 1, 2, 2, 2, 0, 1, 0, 2, 2, 1]), 2, 3)),
    "holt_winters": Example(holt_winters, (0.3 * np.arange(7) + Y,)),
    "lung_decline": Example(
        lung_decline,
        (np.arange(20) % 4, np.arange(20) // 4 / 4.0),
        {"capacity": 25.0 + np.arange(20) % 4 - np.arange(20) / 10 + np.cos(9.0 * np.arange(20))},
    ),
    "varying_covariances": Example(varying_covariances, (X[:, :2],)),
}
