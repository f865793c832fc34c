"""Mistakes in functions for NumPyro."""

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist

import infer


def a_function_for_numpyro():
    """The two front ends take functions of different arguments."""

    def model(y=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    infer.model(model, y=np.zeros(3))


def a_plate_of_another_size():
    """The plate says how many rows there are, and the data have fewer."""

    def model(y=None):
        mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
        with numpyro.plate("rows", 4):
            numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    infer.sample(infer.from_numpyro(model, y=np.zeros(3)))


def a_site_in_a_loop_of_jax():
    """The loop of JAX traces its body once, so its sites would be one."""

    def model():
        def step(level, _):
            return numpyro.sample("level", dist.Normal(level, 1.0)), None

        jax.lax.scan(step, 0.0, None, length=10)

    infer.sample(infer.from_numpyro(model))


def an_observation_forgotten():
    """Without its data the last site is latent, as for NumPyro's own samplers."""

    def model(y=None):
        rate = numpyro.sample("rate", dist.Gamma(2.0, 1.0))
        numpyro.sample("y", dist.Poisson(rate), obs=y)

    infer.sample(infer.from_numpyro(model))


def a_random_number():
    """Another one at each evaluation would make another density each time."""

    def model():
        jitter = jax.random.normal(numpyro.prng_key())  # pyright: ignore[reportArgumentType]
        numpyro.sample("x", dist.Normal(jitter, 1.0))

    infer.sample(infer.from_numpyro(model))


MISTAKES = (
    a_function_for_numpyro,
    a_plate_of_another_size,
    a_site_in_a_loop_of_jax,
    an_observation_forgotten,
    a_random_number,
)
