"""The runs of the fault harness: one small model, four engines, and what their results hold."""

import warnings

import jax
import numpy as np
import numpyro.distributions as dist
import optax

import infer
from infer.run import collect
from infer.store import recorder

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
# Kept, since an optimizer of optax equals only itself.
ADAM = infer.MAP("unconstrained", optax.adam(0.02), max_steps=1500)
KINDS = ("HMC", "NUTS", "ADVI", "MAP")
SETTINGS = {"key": 3}
SAMPLER = {"chains": 2, "progress": False, **SETTINGS}


def _program(site, y):
    mu = site("mu", dist.Normal(0, 5))
    tau = site("tau", dist.HalfNormal(5))
    theta = site("theta", dist.Normal(0, 1), shape=(8,))
    site.observe("y", dist.Normal(mu + tau * theta, 10.0), y)


def model():
    return infer.model(_program, y=Y)


def prepare():
    """Let blocks and chunks be short and commits frequent, so that many of them are hit."""
    jax.config.update("jax_enable_x64", True)
    # Nearly all of the time of a trial is that of its processes to compile what others have.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    warnings.simplefilter("ignore", infer.SamplingWarning)
    warnings.simplefilter("ignore", infer.FitWarning)
    collect.BLOCK_SECONDS = 0.002
    recorder.LARGEST_SHARE = 0.5
    recorder.choose_chunk = lambda *given: 256


def begin(kind, store=None):
    """Run from the beginning, in memory or in a store."""
    stored = {} if store is None else {"store": store, "commit_seconds": 0.0}
    if kind == "ADVI":
        return infer.fit(model(), infer.ADVI(), progress=False, **SETTINGS, **stored)
    if kind == "MAP":
        return infer.maximize(model(), ADAM, starts=4, **SETTINGS, **stored)
    engine = infer.HMC() if kind == "HMC" else infer.NUTS()
    return infer.sample(model(), engine, draws=3000, **SAMPLER, **stored)


def go_on(kind, store, threads=None):
    """Go on with a stored run."""
    engine = ADAM if kind == "MAP" else None
    options = {"threads": threads, "progress": False, "commit_seconds": 0.0}
    return infer.resume(store, model(), engine, **options)


def arrays_of(result):
    """Return the numbers of a result, by name."""
    if isinstance(result, infer.Approximation):
        normal = result.distribution
        return {"mean": normal.mean, "scale": normal.scale, "losses": result.losses}
    if isinstance(result, infer.Optimum):
        trace = {f"trace{i}": one.lp for i, one in enumerate(result.every_trace)}
        return {**result.every_value, "lp": result.every_lp, **trace}
    groups = [result["posterior"], result["sample_stats"]]
    return {name: group[name].values for group in groups for name in group.data_vars}
