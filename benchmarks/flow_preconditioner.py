"""Precondition NUTS by a flow that was fitted to draws, and compare with the hierarchical metric.

    python -m benchmarks.flow_preconditioner [--seeds 2] [--model funnel ...]

Nabergoj & Strumbelj (2025, arXiv 2511.02345) precondition by a linear map of the coordinates that
look normal, and by a flow of the others that is conditional on them. Here that is one network of
`bijectors`, which shifts and scales the others; beside it is a flow of four couplings of all
coordinates. Both are fitted by maximum likelihood to the 4000 draws of a run of NUTS at defaults,
and to those of one with the hierarchical metric, which mixes. NUTS at defaults then samples the log
density of the flow's own coordinates. Prints the smallest bulk ESS per 1000 gradients (median
over the seeds; the run that the flow was fitted to is not counted), the smallest ESS, the largest
R-hat, divergent draws, the tails of the funnel relative to the truth, and seconds of fitting.
"""

import argparse
import statistics
import time
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.stats

jax.config.update("jax_enable_x64", True)

import bijectors as bj
import infer
from bijectors.base import Image, Vectorwise, bijection
from bijectors.maps.conditioner import (
    Conditioner,
    count_parameters,
    forward_each,
    inverse_each,
    make_zero_network,
    replicate,
)

from .funnel import TAIL
from .local_steps import MODELS
from .quality import measure_quality

NAMES = ("funnel", "banana", "eight schools, errors x 1.0", "three levels")
# Excess kurtosis and skewness of a coordinate that looks normal.
NORMAL = 0.5
STEPS, RATE, WIDTH = 1500, 5e-3, 32


class Conditional(Vectorwise):
    """x = (a, T(b; a)): the first numbers stay, and a network of them maps each of the others."""

    conditioner: Conditioner
    fixed: int = eqx.field(static=True)

    def __init__(self, size: int, fixed: int, key: Any) -> None:
        transformer = bj.BoundedAffine(bound=6.0)
        sizes = (fixed, (size - fixed) * count_parameters(transformer))
        self.fixed = fixed
        self.conditioner = Conditioner(
            replicate(transformer, size - fixed, "Conditional"),
            make_zero_network(sizes, WIDTH, 2, jnp.tanh, key, "Conditional"),
        )

    def image(self, y: jax.Array) -> Image:
        a, b = y[: self.fixed], y[self.fixed :]
        moved, log_det = forward_each(self.conditioner.maps(a), b)
        return bijection(jnp.concatenate([a, moved]), log_det)

    def inverse(self, x: jax.Array) -> jax.Array:
        a, b = x[: self.fixed], x[self.fixed :]
        return jnp.concatenate([a, inverse_each(self.conditioner.maps(a), b)])


def make_flow(kind: str, rows: np.ndarray, key: Any) -> tuple[Any, np.ndarray]:
    """Return a flow that is the identity, and the order of the coordinates that it takes."""
    size = rows.shape[1]
    if kind == "couplings":
        return bj.coupling_flow(size, key=key, steps=4, width=WIDTH, depth=1), np.arange(size)
    score = np.abs(scipy.stats.kurtosis(rows)) + np.abs(scipy.stats.skew(rows))
    order = np.argsort(score)
    return Conditional(size, int(np.clip((score < NORMAL).sum(), 1, size - 1)), key), order


def fit(kind: str, draws: np.ndarray, seed: int) -> Any:
    """Fit a flow to draws of shape (n, size); return a function of its own coordinates."""
    center, spread = draws.mean(0), draws.std(0)
    rows = (draws - center) / spread
    flow, order = make_flow(kind, rows, jax.random.key(seed))
    rows = jnp.asarray(rows[:, order])
    optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(RATE))

    def loss(flow: Any) -> Any:
        y, log_det = jax.vmap(flow.inverse_and_log_det)(rows)
        return jnp.mean(0.5 * (y**2).sum(1) - log_det)

    def advance(_: Any, both: tuple[Any, Any]) -> tuple[Any, Any]:
        flow, state = both
        updates, state = optimizer.update(jax.grad(loss)(flow), state)
        return optax.apply_updates(flow, updates), state

    learn = jax.jit(lambda both: jax.lax.fori_loop(0, STEPS, advance, both))
    flow = jax.block_until_ready(learn((flow, optimizer.init(flow)))[0])
    back = np.argsort(order)

    def forward(y: jax.Array) -> tuple[jax.Array, jax.Array]:
        x, log_det = flow.forward_and_log_det(y)
        return center + spread * x[back], log_det

    return forward


def flatten(density: Any, posterior: Any) -> np.ndarray:
    """Return unconstrained draws, shape (chains, draws, size)."""
    values = {str(name): jnp.asarray(posterior[name].values) for name in posterior.data_vars}
    return np.asarray(jax.jit(jax.vmap(jax.vmap(density.unconstrain)))(values))


def measure(name: str, kind: str, metric: Any, seed: int) -> tuple[Any, ...]:
    """Return the numbers of a row of the table for one seed."""
    model = MODELS[name]()
    density = infer.log_density(model)
    first = infer.sample(model, infer.NUTS(metric=metric), key=seed, progress=False)
    draws = flatten(density, first["posterior"])
    began = time.perf_counter()
    forward = fit(kind, draws.reshape(-1, draws.shape[-1]), seed)
    seconds = time.perf_counter() - began

    def log_density(values: Any) -> Any:
        x, log_det = forward(values["y"])
        return density(x) + log_det

    pulled = infer.declared(log_density, {"y": bj.Real(shape=(draws.shape[-1],))})
    result = infer.sample(pulled, infer.NUTS(), key=seed, progress=False)
    y = jnp.asarray(result["posterior"]["y"].values)
    x = np.asarray(jax.jit(jax.vmap(jax.vmap(lambda y: forward(y)[0])))(y))
    ess, rhat = measure_quality(x)
    stats = result["sample_stats"]
    gradients = int(stats["n_steps"].sum()) + result.attrs["warmup_gradients"]
    v = x[..., 0]
    tails = [round(float(t.mean()) / TAIL, 2) for t in (v < -6, v > 6)] if name == "funnel" else ""
    return 1e3 * ess / gradients, ess, rhat, int(stats["diverging"].sum()), tails, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--model", nargs="*", default=NAMES, choices=list(MODELS))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| model | flow | fitted to draws of | ESS per 1000 gradients | ESS | R-hat |", end=" ")
    print("divergent | tails | fit, s |")
    print("| --- " * 9 + "|")
    for name in given.model:
        for kind in ("conditional", "couplings"):
            for metric in ("euclidean", "hierarchical"):
                runs = [measure(name, kind, metric, seed) for seed in range(1, given.seeds + 1)]
                rate, ess, rhat, divergent, tails, seconds = zip(*runs, strict=True)
                print(
                    f"| {name} | {kind} | {metric} metric | {statistics.median(rate):.1f} | "
                    f"{min(ess):.0f} | {max(rhat):.3f} | {sum(divergent)} | "
                    f"{list(tails) if tails[0] else ''} | {statistics.median(seconds):.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
