"""Models of importable functions can be pickled, and so sent to other processes."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

import bijectors as bj
import infer

from .tfp_models import Root, tfd

Y = np.array([0.3, 0.9, -0.4])


def program(site, y):
    level = site("level", dist.Normal(0.0, 1.0), dims="group")
    scale = site("scale", dist.HalfNormal(1.0))
    root = site("root", dist.LKJCholesky(3, 2.0))
    site.observe("y", dist.MultivariateNormal(level, scale_tril=scale * root), y)


def numpyros(y):
    level = numpyro.sample("level", dist.Normal(0.0, 1.0))
    share = numpyro.sample("share", dist.Beta(2.0, 2.0))
    numpyro.sample("y", dist.Normal(level, share), obs=y)


def log_density(values, y):
    return -jnp.sum(values["x"]) - jnp.sum(y * values["p"])


class Line(eqx.Module):
    slope: jax.Array
    noise: float
    name: str = "line"


def log_likelihood(line, y):
    return dist.Normal(line.slope.sum(), line.noise).log_prob(y)


def joint():
    level = yield Root(tfd.Normal(0.0, 1.0, name="level"))
    yield tfd.Sample(tfd.Normal(level, 1.0), 3, name="y")


LEAVES = {"slope": infer.Leaf(dist.Normal(0.0, 2.0), dims="side"), "noise": bj.Positive()}
SETS = {"x": bj.Ordered(3), "p": bj.Simplex(3)}
LINE = Line(jnp.ones(2), 1.0)
GROUPS = {"group": ["a", "b", "c"]}

MAKE = {
    "model": lambda: infer.model(program, y=Y, coords=GROUPS),
    "frozen": lambda: infer.model(program, y=Y, coords=GROUPS).freeze(scale=2.0),
    "NumPyro": lambda: infer.from_numpyro(numpyros, Y),
    "declared": lambda: infer.declared(log_density, SETS, data=Y),
    "tree": lambda: infer.tree_model(LINE, log_likelihood, LEAVES, data=Y),
    "joint": lambda: infer.from_tfp(tfd.JointDistributionCoroutine(joint), observed={"y": Y}),
    "view": lambda: infer.model(program, y=Y, coords=GROUPS).view(likelihood=0.5),
}


@pytest.mark.parametrize("name", MAKE)
def test_an_unpickled_model_compiles_nothing(name):
    calls = []

    @eqx.filter_jit
    def value(density, position):
        calls.append(1)
        return density(position)

    model = MAKE[name]()
    again = pickle.loads(pickle.dumps(model))
    densities = infer.log_density(model), infer.log_density(again)
    position = jnp.linspace(-0.5, 0.5, densities[0].size)
    first, second = (value(d, position) for d in densities)
    assert first == second
    # A distribution of TFP is equal only to itself.
    assert len(calls) == (2 if name == "joint" else 1)


def test_an_unpickled_rule_is_the_same_rule():
    again = pickle.loads(pickle.dumps(bj.RULES))
    assert again == bj.RULES
    assert hash(again) == hash(bj.RULES)


def mean_of(model):
    jax.config.update("jax_enable_x64", True)
    run = infer.sample(model, chains=1, draws=20, warmup=20, progress=False)
    return float(run["posterior"]["level"].mean())


@pytest.mark.slow
def test_a_model_is_sampled_in_another_process():
    model = MAKE["NumPyro"]()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        there = pool.submit(mean_of, model).result(timeout=120)
    assert np.isfinite(there)
