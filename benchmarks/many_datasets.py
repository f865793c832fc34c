"""Sample thousands of data sets of eight-schools size in one call.

    python -m benchmarks.many_datasets [--n 10000] [--numpyro 20] [--picked 20] [--store]
        [--stored 625 2500 5000]

Writes benchmarks/results/many_datasets.md. Every data set is eight means with known standard
errors, around a mean and a spread that have priors, as in eight schools; the numbers are simulated.
One call makes 4 chains of 200 draws for each, after `--warmup` draws (40) of warm-up whose windows
do not depend on other data sets. `blocks` is the time in which chains are advanced, `host` the rest
that grows with the number of data sets: that of the whole call less blocks and the same for a
sixteenth of the data sets, in a process where all is compiled. `cpu` is process time of all
threads, `memory` the largest so far. With `--stored`, so many data sets are sampled with `store=`
first, each number in a process of its own. Picked data sets are sampled again alone, with their
keys, and compared bit for bit.
NumPyro samples some of the data sets in a loop over `MCMC.run`, which compiles parts again for each
(JAX's cache on disk, if one is set, makes that short), vectorized over its chains, with
`--numpyro-warmup` (100) draws of warm-up.
"""

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page

RESULTS = Path(__file__).parent / "results" / "many_datasets.md"
SIGMA = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
CHAINS, DRAWS = 4, 200
ENGINE = infer.NUTS(stop_early=False)


def simulate(count: int) -> np.ndarray:
    """Simulate the eight observed means of each data set."""
    rng = np.random.default_rng(0)
    mean, spread = rng.normal(5, 3, count), np.abs(rng.normal(0, 8, count))
    true = mean[:, None] + spread[:, None] * rng.normal(size=(count, 8))
    return true + SIGMA * rng.normal(size=(count, 8))


def schools(site, sigma, y):
    mean = site("mean", dist.Normal(0, 5))
    spread = site("spread", dist.HalfCauchy(5))
    effect = site("effect", dist.Normal(mean, spread), shape=(8,))
    site.observe("y", dist.Normal(effect, sigma), y)


def numpyro_schools(sigma, y):
    mean = numpyro.sample("mean", dist.Normal(0, 5))
    spread = numpyro.sample("spread", dist.HalfCauchy(5))
    with numpyro.plate("schools", 8):
        with numpyro.handlers.reparam(config={"effect": numpyro.infer.reparam.LocScaleReparam(0)}):
            effect: Any = numpyro.sample("effect", dist.Normal(mean, spread))
        numpyro.sample("y", dist.Normal(effect, sigma), obs=y)


def make_models(data: np.ndarray) -> list[infer.Model]:
    first = infer.model(schools, sigma=SIGMA, y=data[0])
    return [first.with_data(y=own) for own in data]


def sample(models: Any, keys: Any, warmup: int, store: str | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        return infer.sample(
            models, ENGINE, chains=CHAINS, draws=DRAWS, warmup=warmup, key=keys, progress=False,
            store=store,
        )  # fmt: skip


class Measured:
    """Seconds and process time of a call, what it returned, and the largest memory so far."""

    def __init__(self, call: Any) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        self.result = call()
        self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    @property
    def blocks(self) -> float:
        attrs = self.result.attrs
        return float(attrs["warmup_seconds"]) + float(attrs["sampling_seconds"])

    def line(self, name: str, count: int, host: float | None = None) -> str:
        each = 1000 / count
        shown = "" if host is None else f"{1000 * host:.2f}"
        return (
            f"| {name} | {count} | {self.wall:.1f} | {each * self.wall:.2f} | "
            f"{each * self.blocks:.2f} | {shown} | {each * self.cpu:.2f} | {self.memory:.0f} |"
        )


def count_equal(result: Any, models: list[Any], picked: np.ndarray, warmup: int) -> int:
    """Sample some data sets alone, and count those with the same draws, bit for bit."""
    equal = 0
    for index in map(int, picked):
        alone = sample(models[index], index, warmup)
        equal += all(
            np.array_equal(result.posterior[name].sel(dataset=index), alone.posterior[name])
            for name in alone.posterior.data_vars
        )
    return equal


def time_numpyro(data: np.ndarray, warmup: int) -> float:
    """Sample data sets one after the other, after a first one; return the seconds of each."""
    sampler = MCMC(
        NUTS(numpyro_schools), num_warmup=warmup, num_samples=DRAWS, num_chains=CHAINS,
        chain_method="vectorized", progress_bar=False, jit_model_args=True,
    )  # fmt: skip
    sampler.run(jax.random.key(0), SIGMA, data[0])
    began = time.perf_counter()
    for index, own in enumerate(data):
        sampler.run(jax.random.key(index), SIGMA, own)
        jax.block_until_ready(sampler.get_samples())
    return (time.perf_counter() - began) / len(data)


def measure_stored(count: int, warmup: int) -> str:
    """Sample data sets into a store, and write the line of the table."""
    models = make_models(simulate(count))
    with tempfile.TemporaryDirectory() as folder:
        made = Measured(lambda: sample(models, range(count), warmup, f"{folder}/all.zarr"))
        return made.line("stored, compiling", count)


def measure_apart(counts: list[int], warmup: int) -> list[str]:
    """Measure each number of data sets in a new process, which has its own largest memory."""
    lines = []
    for count in counts:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            lines.append(pool.apply(measure_stored, (count, warmup)))
    return lines


def describe(result: Any, count: int) -> list[str]:
    stats, attrs = result.sample_stats, result.attrs
    gradients = float(stats["n_steps"].sum()) / count
    warm = attrs["warmup_gradients"] / count
    finding = attrs["verdict"].partition("infer.")[0] or "no problems found"
    return [
        f"A data set takes {warm:.0f} gradients of warm-up and {gradients:.0f} of sampling, all "
        f"chains together. The verdict: {finding}".strip()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--warmup", type=int, default=40)
    parser.add_argument("--numpyro", type=int, default=20)
    parser.add_argument("--numpyro-warmup", type=int, default=100)
    parser.add_argument("--picked", type=int, default=20)
    parser.add_argument("--store", action="store_true", help="store the draws, in a new folder")
    parser.add_argument("--stored", type=int, nargs="*", default=[], help="numbers of data sets")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    stored = measure_apart(asked.stored, asked.warmup)
    data = simulate(asked.n)
    made = Measured(lambda: None)
    began = time.perf_counter()
    models = make_models(data)
    making = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        where = f"{folder}/all.zarr" if asked.store else None
        made = Measured(lambda: sample(models, range(asked.n), asked.warmup, where))
        few = max(asked.n // 16, 2)
        again = Measured(lambda: sample(models[:few], range(few), asked.warmup))
        picked = np.linspace(0, asked.n - 1, asked.picked).astype(int)
        equal = count_equal(made.result, models, picked, asked.warmup)
        text = describe(made.result, asked.n)
    host = ((made.wall - made.blocks) - (again.wall - again.blocks)) / (asked.n - few)
    theirs = time_numpyro(data[: asked.numpyro], asked.numpyro_warmup) if asked.numpyro else None
    lines = [
        "| call | data sets | s | ms each | blocks, ms | host, ms | cpu, ms | memory, MB |",
        "| --- |" + " --: |" * 7,
        made.line("one call, compiling" + (", stored" if asked.store else ""), asked.n, host),
        again.line("again, a sixteenth", few),
        *stored,
        "",
        f"Making the models took {making:.1f} s more. {equal} of {asked.picked} picked data sets "
        "have the draws of a run of their own, bit for bit.",
        *text,
    ]
    if theirs is not None:
        lines.append(
            f"NumPyro takes {1000 * theirs:.0f} ms a data set (mean of {asked.numpyro}, "
            f"{asked.numpyro_warmup} + {DRAWS} draws, with what it compiles for each), so "
            f"{asked.n} would take "
            f"{theirs * asked.n:.0f} s: {theirs * asked.n / made.wall:.1f} times as long."
        )
    page.write(asked.results, "Thousands of data sets in one call", __doc__, lines)
    print(asked.results.read_text())


if __name__ == "__main__":
    main()
