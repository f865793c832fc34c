"""Milliseconds of a gradient of a logistic regression with millions of rows, and a short run."""

import statistics
import time
from contextlib import AbstractContextManager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer
from infer.density.family import make_family
from infer.density.points import evaluate_batch
from infer.programs.native import call_compiled

COLUMNS, CALLS = 10, 20
WARMUP, DRAWS = 60, 20


def logistic(site: Any, x: Any, y: Any) -> None:
    """Declare the model."""
    slope = site("slope", dist.Normal(0.0, 1.0), shape=(x.shape[1],))
    site.observe("y", dist.Bernoulli(logits=x @ slope), y)


def simulate(rows: int) -> tuple[jax.Array, jax.Array]:
    """Simulate the data on the device."""

    @jax.jit
    def make(key: Any) -> tuple[jax.Array, jax.Array]:
        keys = jax.random.split(key, 2)
        x = jax.random.normal(keys[0], (rows, COLUMNS))
        odds = x @ jnp.linspace(-0.5, 0.5, COLUMNS)
        return x, (jax.random.uniform(keys[1], (rows,)) < jax.nn.sigmoid(odds)).astype(x.dtype)

    return make(jax.random.key(0))


def measure_rows(rows: int, chains: int, alone: AbstractContextManager[None]) -> dict[str, Any]:
    """Time a gradient for each of some chains, and a run of NUTS from the mode."""
    from .rows import peak_memory

    x, y = simulate(rows)
    model = infer.model(logistic, x=x, y=y)
    family = make_family(model, jacobian=True)
    points = 0.1 * np.random.default_rng(1).normal(size=(chains, COLUMNS)).astype(np.float32)
    own = family.rows(np.zeros(chains, int))
    evaluate = lambda: call_compiled(evaluate_batch, family.shared, own, points)  # noqa: E731
    began = time.perf_counter()
    jax.block_until_ready(evaluate())
    compiling = time.perf_counter() - began
    with alone:
        taken = []
        for _ in range(CALLS):
            began = time.perf_counter()
            jax.block_until_ready(evaluate())
            taken.append(time.perf_counter() - began)
        mode = infer.maximize(model, infer.MAP("unconstrained"), starts=1)
        run = infer.start(
            model, infer.NUTS(), chains=chains, group=chains, warmup=WARMUP, starts=mode.values,
            progress=False,
        )  # fmt: skip
        run.advance(DRAWS)
    timing, used = run.timing, run.warmup.gradients + int(run.draws().stats["n_steps"].sum())
    return {
        "gradient": statistics.median(taken), "compile": compiling + timing.trace + timing.compile,
        "seconds": timing.warmup + timing.sampling, "gradients": used, "memory": peak_memory(),
    }  # fmt: skip
