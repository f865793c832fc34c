"""Hares and lynxes from bad starts: which samplers reach the mode; prints a table.

    python -m benchmarks.bad_starts [--sampler NUTS ...]

In the model of Lotka and Volterra of posteriordb, `hudson_lynx_hare-lotka_volterra`, some regions
explain the populations as noise around a flat curve. They hold next to nothing of the posterior,
and a chain that starts there hardly leaves them. Each run has 4 chains of 1000 draws at defaults,
in double precision; one finite start for each chain, its logarithms uniform on (-2, 2). SMC has
1000 particles, from the prior. Gradients include those of warm-up, and CPU seconds compiling, once
for all runs; both are means over the runs. The table is in results/tempering.md.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer
from examples.ode import PELTS, solve
from infer.output.data.versions import read_group

CHAINS, PARTICLES = 4, 1000
SHAPES = {"rates": (4,), "first": (2,), "noise": (2,)}
# Standard deviation of the logarithms: 0.25 in the mode, and about 0.8 where the curve is flat.
LARGEST_NOISE = 0.5

Start = Mapping[str, np.ndarray]


class Reached(NamedTuple):
    """Where the chains of one run are.

    Attributes:
        noise: Larger mean noise of both animals, of each chain.
        gradients: Number of gradients, warm-up included.
        relocated: Number of chains that warm-up relocated.
    """

    noise: np.ndarray
    gradients: int
    relocated: int = 0


def predators(site, pelts):
    """The priors of posteriordb's `lotka_volterra`; five steps of Runge and Kutta a year."""
    typical, spread = jnp.array([1.0, 0.05, 1.0, 0.05]), jnp.array([0.5, 0.05, 0.5, 0.05])
    rates = site("rates", dist.TruncatedNormal(typical, spread, low=0.0))
    first = site("first", dist.LogNormal(jnp.log(10.0), 1.0), shape=(2,))
    noise = site("noise", dist.LogNormal(-1.0, 1.0), shape=(2,))
    mean = solve(jnp.log(first), rates, len(PELTS) - 1)
    site.observe("pelts", dist.LogNormal(mean, noise), pelts)


def draw_starts(density: Any, seed: int) -> list[Start]:
    """Draw one finite start for each chain: the logarithms uniform on (-2, 2), as in Stan."""
    rng, found = np.random.default_rng(seed), []
    evaluate = jax.jit(density.evaluate)
    while len(found) < CHAINS:
        start = {name: np.exp(rng.uniform(-2, 2, shape)) for name, shape in SHAPES.items()}
        value, gradient = evaluate(density.unconstrain(start))
        if np.isfinite(value) and np.isfinite(gradient).all():
            found.append(start)
    return found


def read(results: Sequence[Any]) -> Reached:
    """Read results of ours, each with some of the chains."""
    noise = [np.asarray(read_group(own, "posterior")["noise"]).mean(1).max(-1) for own in results]
    steps = sum(int(read_group(own, "sample_stats")["n_steps"].sum()) for own in results)
    moved = [name for own in results for name in own.attrs["relocated_chains"].split(", ") if name]
    gradients = steps + sum(own.attrs["warmup_gradients"] for own in results)
    return Reached(np.concatenate(noise), gradients, len(moved))


def temper(model: Any, starts: Sequence[Start], seed: int) -> Reached:
    """Run parallel tempering; its gradients are those of all levels."""
    made = infer.sample(model, infer.Tempered(), key=seed, starts=starts, progress=False)
    noise = np.asarray(read_group(made, "posterior")["noise"]).mean(1).max(-1)
    own = read_group(made, "tempering").attrs["gradients"]
    return Reached(noise, int(own + made.attrs["warmup_gradients"]))


def make_samplers(model: infer.Model) -> dict[str, Callable[[list[Start], int], Reached]]:
    """Return the samplers by name; each takes starts and a seed."""

    def sample(engine: Any, seed: int, **options: Any) -> Any:
        return infer.sample(model, engine, key=seed, progress=False, **options)

    def apart(starts: list[Start], seed: int) -> Reached:
        """Give each chain a run of its own, with no other chain that it could be moved to."""
        runs = [
            sample(infer.NUTS(), CHAINS * seed + i, chains=1, starts=[start])
            for i, start in enumerate(starts)
        ]
        return read(runs)

    smc, many = infer.BlackJAX("smc"), {"chains": PARTICLES, "draws": 1}
    return {
        "NUTS at defaults, its own starts": lambda _, seed: read([sample(infer.NUTS(), seed)]),
        "NUTS": lambda starts, seed: read([sample(infer.NUTS(), seed, starts=starts)]),
        "NUTS, each chain alone": apart,
        "`infer.Tempered()`": lambda starts, seed: temper(model, starts, seed),
        "BlackJAX, tempered SMC": lambda _, seed: read([sample(smc, seed, **many)]),
    }


# Runs of the samplers that take long.
RUNS = {"`infer.Tempered()`": 2, "BlackJAX, tempered SMC": 4}


def row(name: str, sample: Callable[[list[Start], int], Reached], density: Any) -> str:
    """Run a sampler; return a row of the table."""
    count, began, runs = RUNS.get(name, 8), time.process_time(), list[Reached]()
    for seed in range(count):
        runs.append(sample(draw_starts(density, seed), seed))
    seconds = (time.process_time() - began) / count
    there = [run.noise < LARGEST_NOISE for run in runs]
    gradients = sum(run.gradients for run in runs) / count
    cells = [
        name, f"{np.concatenate(there).mean():.2f}", f"{sum(map(all, there))} of {count}",
        str(sum(run.relocated for run in runs)), f"{gradients:,.0f}", f"{seconds:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    model = infer.model(predators, pelts=PELTS)
    samplers = make_samplers(model)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sampler", nargs="*", default=list(samplers), choices=list(samplers))
    given = parser.parse_args()
    warnings.simplefilter("ignore", infer.SamplingWarning)
    print("| sampler | chains in the mode | runs with all there | relocated | gradients | CPU s |")
    print("| --- " * 6 + "|")
    for name in given.sampler:
        print(row(name, samplers[name], infer.log_density(model)), flush=True)


if __name__ == "__main__":
    main()
