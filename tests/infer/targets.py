"""Small models of known moments, shared so that their programs are compiled once."""

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer

MEAN = np.array([1.0, -2.0, 0.5])
COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])


def _normal(values, data):
    centered = values["x"] - data["mean"]
    return -0.5 * centered @ data["precision"] @ centered


def normal(mean=MEAN, covariance=COVARIANCE):
    """A normal of three dimensions; its moments are data."""
    data = {"mean": mean, "precision": np.linalg.inv(covariance)}
    return infer.declared(_normal, {"x": bj.Real(shape=(3,))}, data=data)


def _parted(site, y, mean, covariance):
    x = site("x", dist.MultivariateNormal(mean, 4 * covariance))
    site.observe("y", dist.MultivariateNormal(x, 4 / 3 * covariance), y)


SHIFT = np.array([1.0, -0.5, 0.3])


def parted(mean=MEAN, covariance=COVARIANCE):
    """The same normal, as a posterior of a prior and a likelihood."""
    y = mean - SHIFT / 3
    return infer.model(_parted, y=y, mean=mean + SHIFT, covariance=covariance)


def fitting(engine, **moments):
    """The normal, in a form that an engine takes."""
    return (parted if engine.needs.parts or engine.needs.normal_prior else normal)(**moments)


def _constrained(values):
    rate, weights = values["rate"], values["weights"]
    log_gamma = 2 * jnp.log(rate) - 3 * rate
    log_dirichlet = (jnp.array([1.0, 2.0, 4.0]) * jnp.log(weights)).sum()
    return log_gamma + log_dirichlet - 0.5 * (values["cut"] ** 2).sum()


def constrained():
    """Gamma(3, 3), Dirichlet(2, 3, 5) and the order statistics of three standard normals."""
    supports = {"rate": bj.Positive(), "weights": bj.Simplex(3), "cut": bj.Ordered(3)}
    return infer.declared(_constrained, supports)


# The mean of the largest of three standard normals is 3 / (2 sqrt(pi)).
CONSTRAINED_MEANS = {
    "rate": np.array(1.0),
    "weights": np.array([0.2, 0.3, 0.5]),
    "cut": np.array([-1.0, 0.0, 1.0]) * 1.5 / np.sqrt(np.pi),
}
