"""A model that observed other values has the density of the model on other data."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import infer
from infer.models.changes.observe import Observe

Y = np.array([0.5, -1.0, 2.0])
OTHER = np.array([3.0, 0.0, 1.0])


def plain(site, y):
    mean, noise = site("mean", dist.Normal(0.0, 1.0)), site("noise", dist.HalfNormal(1.0))
    site.observe("y", dist.Normal(mean, noise), y)


def in_steps(site, y):
    def step(site, level, y):
        level = site("level", dist.Normal(level, 1.0))
        site.observe("y", dist.Normal(level, 0.5), y)
        return level, None

    site.scan(step, jnp.asarray(0.0), y)


def of_numpyro(y):
    mean = numpyro.sample("mean", dist.Normal(0.0, 1.0))
    with numpyro.plate("row", 3):
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=y)


MODELS = {
    "plain": infer.model(plain, y=Y),
    "in steps": infer.model(in_steps, y=Y),
    "of numpyro": infer.from_numpyro(of_numpyro, Y),
    "frozen": infer.model(plain, y=Y).freeze(noise=2.0),
}


@pytest.mark.parametrize("name", MODELS)
def test_its_density_is_that_of_the_other_data(name):
    model = MODELS[name]
    other = model.with_change(Observe.of({"y": OTHER}))
    one, two = infer.log_density(other), infer.log_density(model.with_data(y=OTHER))
    position = jnp.linspace(-1, 1, one.size)
    np.testing.assert_allclose(one(position), two(position), rtol=1e-12)
    np.testing.assert_array_equal(one.observed()["y"], OTHER)
