"""A call that compiles programs of its own is refused inside a function that JAX transforms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import infer
from infer.errors import ModelError, RunError, StartError


def normal(site, y):
    mean = site("mean", dist.Normal(0.0, 1.0))
    site.observe("y", dist.Normal(mean, 1.0), y)


MODEL = infer.model(normal, y=np.arange(2.0))
CALLS = {
    "sample": infer.sample,
    "start": infer.start,
    "fit": infer.fit,
    "laplace": lambda model: infer.fit(model, infer.Laplace()),
    "maximize": lambda model: infer.maximize(model, infer.MAP("constrained")),
    "sample_prior": infer.sample_prior,
    "choose": infer.choose,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("transform", [jax.vmap, jax.jit])
def test_a_model_with_traced_data_is_refused_in_words(transform, call):
    with pytest.raises(ModelError, match=r"model: it is traced.* infer\.sample\(\[model\.with_d"):
        transform(lambda y: call(MODEL.with_data(y=y)))(jnp.zeros((2, 2)))


def test_the_traced_one_of_several_models_is_named():
    with pytest.raises(ModelError, match=r"models\[1\]: it is traced"):
        jax.jit(lambda y: infer.sample([MODEL, MODEL.with_data(y=y)]))(jnp.zeros(2))


def test_a_traced_key_is_refused_in_words():
    with pytest.raises(RunError, match="key: it is traced"):
        jax.vmap(lambda key: infer.sample(MODEL, key=key))(jax.random.split(jax.random.key(0)))


def test_traced_starts_are_refused_in_words():
    with pytest.raises(StartError, match=r"starts\['mean'\]: it is traced"):
        jax.jit(lambda at: infer.sample(MODEL, starts={"mean": at}))(0.0)
