"""Compare the default metric with a diagonal one in normals of thousands of coordinates.

    python -m benchmarks.large_metric [--sizes 2100 10000] [--targets factors series]

Prints a table: how many directions are stretched, the smallest bulk ESS of ten wide directions, or
of ten coordinates and ten sums of neighbors, per 1000 gradients of sampling, and with those of
warm-up; the steps of a draw; and CPU time of a step. "factors" is a normal whose covariance is the
identity but for ten directions with standard deviations of 3 to 30; "series" is a stationary
autoregression with correlation 0.9. Four chains make 100 draws each.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np

import bijectors as bj
import infer

jax.config.update("jax_enable_x64", True)

CORRELATION, DIRECTIONS, DRAWS = 0.9, 10, 100
# A log density, and what is looked at of positions (chains, draws, size).
Target = tuple[Callable[[dict[str, Any]], Any], Callable[[np.ndarray], np.ndarray]]


def factors(size: int) -> Target:
    """Make a normal with a few wide directions."""
    rng = np.random.default_rng(0)
    wide = np.linalg.qr(rng.normal(size=(size, DIRECTIONS)))[0]
    scaled = wide * np.sqrt(1 - np.geomspace(3, 30, DIRECTIONS) ** -2.0)
    log_density = lambda v: -0.5 * (jnp.sum(v["x"] ** 2) - jnp.sum((v["x"] @ scaled) ** 2))  # noqa: E731
    return log_density, lambda positions: positions @ wide


def series(size: int) -> Target:
    """Make a stationary autoregression, whose spectrum is broad."""

    def log_density(v):
        steps = v["x"][1:] - CORRELATION * v["x"][:-1]
        return -0.5 * (v["x"][0] ** 2 + jnp.sum(steps**2) / (1 - CORRELATION**2))

    def look(positions):
        sums = positions.reshape(*positions.shape[:2], DIRECTIONS, -1).sum(-1)
        return np.concatenate([positions[..., :: size // DIRECTIONS], sums], -1)

    return log_density, look


def measure(target: Target, size: int, rank: int | None) -> str:
    """Measure one metric; return the cells of its line."""
    log_density, look = target
    model = infer.declared(log_density, {"x": bj.Real(shape=(size,))})
    run = infer.start(model, infer.NUTS(rank=rank), progress=False)
    run.warm_up().advance(1)
    began, before = time.process_time(), run.draws().stats["n_steps"].sum()
    draws = run.advance(DRAWS - 1).draws()
    seconds, steps = time.process_time() - began, draws.stats["n_steps"].sum()
    seen = look(draws.positions)
    ess = 1000 * min(float(az.ess(seen[..., i])) for i in range(seen.shape[-1]))
    warmup: Any = run.warmup
    used = np.count_nonzero(getattr(warmup.tuning.metric, "excess", np.zeros(0)))
    return (
        f"{used} | {ess / steps:.1f} | {ess / (steps + warmup.gradients):.2f} | "
        f"{steps / draws.stats['n_steps'].size:.0f} | {1e6 * seconds / (steps - before):.0f} |"
    )


def main() -> None:
    """Measure the targets and sizes that are given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[2100, 10_000])
    parser.add_argument("--targets", nargs="*", default=["factors", "series"])
    asked = parser.parse_args()
    print("| normal | d | metric | stretched | ESS / 1000 gradients | with warm-up | steps | µs |")
    print("| --- | --: | --- | --: | --: | --: | --: | --: |")
    for name in asked.targets:
        for size in asked.sizes:
            for rank, metric in ((0, "diagonal"), (None, "default")):
                target = {"factors": factors, "series": series}[name](size)
                line = measure(target, size, rank)
                print(f"| {name} | {size} | {metric} | {line}", flush=True)


if __name__ == "__main__":
    main()
