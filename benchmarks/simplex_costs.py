"""Measure what the gradient of each map onto a simplex costs, and where its starts lie.

    python -m benchmarks.simplex_costs [--precision float32]

Prints the second table of results/maps.md, without its head. Times are those of the gradient of
the log density of shares given counts, in a loop, the smallest of several measurements in turn. A
start is uniform on (-2, 2).
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import bijectors

MAPS = ("ilr", "alr", "stick_breaking")
SIZES = (3, 10, 100, 1000, 10_000)
# Steps of a loop, divided by the number of categories.
STEPS = 1_000_000
REPEATS = 7
STARTS = 20
COLUMNS = [
    "categories",
    "precision",
    *(f"gradient, {name}" for name in MAPS),
    *(f"least share, {name}" for name in MAPS),
    *(f"round trip, {name}" for name in MAPS),
]
HEAD = [f"| {' | '.join(COLUMNS)} |", "|" + " ---: |" * len(COLUMNS)]


def write_row(size: int, precision: str) -> str:
    """Write the line of one size."""
    maps = [bijectors.bijector_for(bijectors.Simplex(), (size,), name) for name in MAPS]
    times = time_gradients(maps, size)
    starts = [describe_starts(bijector, size) for bijector in maps]
    cells = [str(size), precision]
    cells += [f"{times[0] * 1e6:.2g} µs", *(f"{t / times[0]:.1f} times" for t in times[1:])]
    cells += [f"{least:.2g} / k" for least, _ in starts]
    cells += [f"{error:.0e}" for _, error in starts]
    return f"| {' | '.join(cells)} |"


def time_gradients(maps: list[bijectors.Bijector], size: int) -> list[float]:
    """Return seconds of a gradient with each map."""
    steps = max(STEPS // size, 20)
    given = jnp.zeros(size - 1), jnp.asarray(np.random.default_rng(0).gamma(20.0, size=size), float)
    programs = [jax.jit(partial(ascend, bijector, steps)) for bijector in maps]
    times = [measure_all(programs, given) for _ in range(1 + REPEATS)]
    # The first repeat compiles.
    return [min(column) / steps for column in zip(*times[1:], strict=True)]


def measure_all(programs: list[Callable[..., Array]], given: tuple[Array, Array]) -> list[float]:
    """Return seconds of a call of each program, one after the other."""
    seconds = []
    for program in programs:
        begin = time.perf_counter()
        program(*given).block_until_ready()
        seconds.append(time.perf_counter() - begin)
    return seconds


def ascend(bijector: bijectors.Bijector, steps: int, y: Array, counts: Array) -> Array:
    """Take small steps along the gradient, each of which needs the one before."""

    def log_density(y: Array) -> Array:
        image = bijector.image(y)
        return image.log_det + (counts * image.by_products["log"]).sum()

    return jax.lax.fori_loop(0, steps, lambda _, y: y + 1e-7 * jax.grad(log_density)(y), y)


def describe_starts(bijector: bijectors.Bijector, size: int) -> tuple[float, float]:
    """Return the smallest share of all starts, times the size, and the error of round trips."""
    y = jnp.asarray(np.random.default_rng(1).uniform(-2, 2, (STARTS, size - 1)), float)
    x = jax.jit(jax.vmap(lambda y: bijector.image(y).value))(y)
    again = jax.jit(jax.vmap(bijector.inverse))(x)
    return size * float(x.min()), float(jnp.abs(again - y).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", choices=("float64", "float32"), default="float64")
    precision = parser.parse_args().precision
    jax.config.update("jax_enable_x64", precision == "float64")
    for size in SIZES:
        print(write_row(size, precision), flush=True)


if __name__ == "__main__":
    main()
