"""Joint distributions after TFP's documentation, on data small enough to read.

Each says which tutorial or docstring it follows; all parameters are doubles.
"""

import functools
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bijectors.translate.tfp_import import load_tfp

tfp = load_tfp()
tfd, tfpk = tfp.distributions, tfp.math.psd_kernels
Root = tfd.JointDistributionCoroutine.Root


class Example(NamedTuple):
    """A joint distribution and its observed values."""

    joint: Any
    observed: dict[str, Any]


RNG = np.random.default_rng(5)
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
COUNTY = np.array([0, 0, 1, 2, 2, 2])
FLOOR = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
RADON = RNG.normal(size=6)
TEACHER = np.array([0, 1, 1, 0, 1, 0])
POINTS = RNG.normal(size=(5, 2))
DISASTERS = np.array([14.0, 12.0, 15.0, 13.0, 1.0, 0.0, 2.0, 1.0])
YEARS = np.arange(8.0)
INDEX = np.linspace(-1.0, 1.0, 6)[:, None]


def d(*values):
    """Convert to doubles, since TFP makes single-precision parameters of Python's floats."""
    return jnp.asarray(values[0] if len(values) == 1 else values, jnp.float64)


def eight_schools():
    """The tutorial "Eight schools"."""
    return tfd.JointDistributionSequential(
        [
            tfd.Normal(d(0.0), d(10.0), name="avg_effect"),
            tfd.Normal(d(5.0), d(1.0), name="avg_stddev"),
            tfd.Independent(tfd.Normal(jnp.zeros(8), jnp.ones(8)), 1, name="standard"),
            lambda standard, avg_stddev, avg_effect: tfd.Independent(
                tfd.Normal(
                    avg_effect[..., None] + jnp.exp(avg_stddev)[..., None] * standard, ERRORS
                ),
                1,
                name="effects",
            ),
        ]
    )


def chain():
    """The docstring of `JointDistributionSequential`."""
    return tfd.JointDistributionSequential(
        [
            tfd.Independent(tfd.Exponential(d(100.0, 120.0)), 1),
            lambda e: tfd.Gamma(e[..., 0], e[..., 1]),
            tfd.Normal(d(0.0), d(2.0)),
            lambda n, g: tfd.Normal(n, g),
            lambda m: tfd.Sample(tfd.Bernoulli(logits=m), 12),
        ]
    )


def varying_intercepts():
    """The tutorial "Multilevel modeling primer": varying intercepts and a fixed slope."""
    mean_a = yield Root(tfd.Normal(d(0.0), d(1e2), name="mean_a"))
    stddev_a = yield Root(tfd.Uniform(d(0.0), d(1e2), name="stddev_a"))
    stddev_y = yield Root(tfd.Uniform(d(0.0), d(1e2), name="stddev_y"))
    weight = yield Root(tfd.Normal(d(0.0), d(1e2), name="weight"))
    level = tfd.MultivariateNormalDiag(
        mean_a[..., None] * jnp.ones(3), stddev_a[..., None] * jnp.ones(3), name="a"
    )
    a = yield level
    mean = a[..., COUNTY] + FLOOR * weight[..., None]
    yield tfd.Independent(tfd.Normal(mean, stddev_y[..., None]), 1, name="radon")


def moving_supports():
    """Each site lies within bounds that the sites before it give; one is scaled below zero."""
    return tfd.JointDistributionNamed(
        dict(
            width=tfd.HalfNormal(d(2.0)),
            part=lambda width: tfd.Uniform(d(0.0), width),
            between=lambda part, width: tfd.TruncatedNormal(part, d(1.5), part, part + width),
            above=lambda between: tfd.Pareto(d(2.0), between),
            below=lambda part: tfd.TransformedDistribution(
                tfd.Gamma(d(2.0), d(3.0)), tfp.bijectors.Scale(-part)
            ),
            y=lambda above, below: tfd.Normal(above + below, d(1.0)),
        )
    )


def gaussian_mixture():
    """The tutorial "Bayesian Gaussian Mixture Model and Hamiltonian MCMC".

    There the Wishart is one of Cholesky factors, whose density leaves out the volume between
    factor and matrix; here it is one of matrices.
    """

    def mixture(mix_probs, loc, precision):
        covariance = jnp.linalg.inv(precision)
        parts = tfd.MultivariateNormalTriL(loc, jnp.linalg.cholesky(covariance))
        return tfd.Sample(tfd.MixtureSameFamily(tfd.Categorical(probs=mix_probs), parts), 5)

    return tfd.JointDistributionNamed(
        dict(
            mix_probs=tfd.Dirichlet(jnp.ones(3)),
            loc=tfd.Independent(
                tfd.Normal(d([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]]), jnp.ones((3, 2))), 2
            ),
            precision=tfd.Independent(tfd.WishartTriL(d(5.0), jnp.stack([jnp.eye(2)] * 3)), 1),
            s=mixture,
        )
    )


def gaussian_process():
    """The tutorial "Gaussian Process Regression in TensorFlow Probability"."""

    def process(amplitude, length_scale, observation_noise_variance):
        return tfd.GaussianProcess(
            kernel=tfpk.ExponentiatedQuadratic(amplitude, length_scale),
            index_points=INDEX,
            observation_noise_variance=observation_noise_variance,
        )

    return tfd.JointDistributionNamed(
        {
            "amplitude": tfd.LogNormal(d(0.0), d(1.0)),
            "length_scale": tfd.LogNormal(d(0.0), d(1.0)),
            "observation_noise_variance": tfd.LogNormal(d(0.0), d(1.0)),
            "observations": process,
        }
    )


def switchpoint():
    """The tutorial "Bayesian Switchpoint Analysis"."""
    return tfd.JointDistributionNamedAutoBatched(
        dict(
            early_rate=tfd.Exponential(d(0.3)),
            late_rate=tfd.Exponential(d(0.3)),
            switchpoint=tfd.Uniform(d(0.0), d(8.0)),
            disasters=lambda switchpoint, late_rate, early_rate: tfd.Poisson(
                jnp.where(switchpoint > YEARS, early_rate, late_rate)
            ),
        )
    )


def line():
    """The tutorial "Auto-Batched Joint Distributions"."""
    return tfd.JointDistributionSequentialAutoBatched(
        [
            tfd.Normal(d(0.0), d(1.0), name="m"),
            tfd.Normal(d(0.0), d(1.0), name="b"),
            lambda b, m: tfd.Normal(m * YEARS + b, d(1.0), name="Y"),
        ]
    )


def principal_components():
    """The tutorial "Probabilistic PCA"."""
    w = yield tfd.Normal(jnp.zeros((2, 1)), 2.0 * jnp.ones((2, 1)), name="w")
    z = yield tfd.Normal(jnp.zeros((1, 5)), jnp.ones((1, 5)), name="z")
    yield tfd.Normal(w @ z, d(0.5), name="x")


def robust_regression():
    """The tutorial "Modeling with JointDistribution": a line with Student's t noise."""
    return tfd.JointDistributionSequentialAutoBatched(
        [
            tfd.HalfCauchy(d(0.0), d(5.0), name="df"),
            tfd.Normal(d(0.0), d(1.0), name="b0"),
            tfd.Normal(d(0.0), d(1.0), name="b1"),
            lambda b1, b0, df: tfd.StudentT(df, b0 + b1 * YEARS / 4, d(0.5), name="likelihood"),
        ]
    )


def radon():
    """The tutorial "Variational inference on probabilistic graphical models": radon by county."""
    spread = yield tfd.HalfNormal(d(1.0), name="county_scale")
    intercept = yield tfd.Normal(d(0.0), d(1.0), name="intercept")
    floor = yield tfd.Normal(d(0.0), d(1.0), name="floor_weight")
    county = yield tfd.Sample(tfd.Normal(d(0.0), spread), 3, name="county_effect")
    noise = yield tfd.HalfNormal(d(1.0), name="log_radon_scale")
    mean = intercept + FLOOR * floor + county[COUNTY]
    yield tfd.MultivariateNormalDiag(mean, noise * jnp.ones(6), name="log_radon")


def mixed_effects():
    """The tutorial "Linear Mixed Effects Models": crossed effects of students and instructors."""
    intercept = yield tfd.Normal(d(3.0), d(1.0), name="intercept")
    service = yield tfd.Normal(d(0.0), d(0.5), name="effect_service")
    students = yield tfd.MultivariateNormalDiag(jnp.zeros(3), jnp.full(3, 0.3), name="students")
    teachers = yield tfd.MultivariateNormalDiag(jnp.zeros(2), jnp.full(2, 0.6), name="instructors")
    mean = intercept + service * FLOOR + students[COUNTY] + teachers[TEACHER]
    yield tfd.MultivariateNormalDiag(mean, d(0.8) * jnp.ones(6), name="ratings")


EXAMPLES = {
    "eight_schools": Example(eight_schools(), {"effects": EFFECTS}),
    "chain": Example(chain(), {"x": RNG.integers(0, 2, 12)}),
    "varying_intercepts": Example(
        tfd.JointDistributionCoroutine(varying_intercepts), {"radon": RADON}
    ),
    "moving_supports": Example(moving_supports(), {"y": np.asarray(0.4)}),
    "gaussian_mixture": Example(gaussian_mixture(), {"s": POINTS}),
    "gaussian_process": Example(gaussian_process(), {"observations": RNG.normal(size=6)}),
    "switchpoint": Example(switchpoint(), {"disasters": DISASTERS}),
    "line": Example(line(), {"Y": 2 * YEARS - 1 + RNG.normal(size=8)}),
    "principal_components": Example(
        tfd.JointDistributionCoroutineAutoBatched(functools.partial(principal_components)),
        {"x": RNG.normal(size=(2, 5))},
    ),
    "robust_regression": Example(
        robust_regression(), {"likelihood": YEARS / 4 + RNG.standard_t(3.0, 8)}
    ),
    "radon": Example(tfd.JointDistributionCoroutineAutoBatched(radon), {"log_radon": RADON + 1.0}),
    "mixed_effects": Example(
        tfd.JointDistributionCoroutineAutoBatched(mixed_effects),
        {"ratings": 3.0 + RNG.normal(size=6)},
    ),
}
