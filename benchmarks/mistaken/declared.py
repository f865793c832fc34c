"""Mistakes in declared log densities."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import bijectors as bj
import infer


def a_sum_forgotten():
    """A log density is one number: the sum over the data is missing."""

    def log_density(values, y):
        return -0.5 * ((y - values["mean"]) / values["noise"]) ** 2 - jnp.log(values["noise"])

    supports = {"mean": bj.Real(), "noise": bj.Positive()}
    infer.sample(infer.declared(log_density, supports, data=np.zeros(3)))


def a_distribution_for_a_set():
    """A set says where a value lies; how likely it is there, the log density says."""

    def log_density(values):
        return dist.Normal(values["mean"], 1.0).log_prob(0.5)

    infer.declared(log_density, {"mean": dist.Normal(0.0, 1.0)})


def a_size_left_out():
    """No prior says how long the vector is, so its set must."""

    def log_density(values):
        return jnp.sum(jnp.log(values["weights"]))

    infer.sample(infer.declared(log_density, {"weights": bj.Simplex()}))


def data_that_are_not_given():
    """The function takes data, and the call gives none."""

    def log_density(values, y):
        return jnp.sum(dist.Normal(values["mean"], 1.0).log_prob(y))

    infer.declared(log_density, {"mean": bj.Real()})


def a_loop_without_a_gradient():
    """Reverse mode goes back through every step, so their number must be known."""

    def log_density(values):
        halved = jax.lax.while_loop(lambda x: x > 1.0, lambda x: x / 2, values["x"])
        return dist.Normal(0.5, 0.1).log_prob(halved)

    infer.sample(infer.declared(log_density, {"x": bj.Positive()}), infer.NUTS())


MISTAKES = (
    a_sum_forgotten,
    a_distribution_for_a_set,
    a_size_left_out,
    data_that_are_not_given,
    a_loop_without_a_gradient,
)
