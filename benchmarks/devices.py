"""Measure chains and rows on two CPU devices against one.

    python -m benchmarks.devices [--only chains rows] [--repeats 5] [--draws 3000]
        [--rows 100000 1000000]
    python -m benchmarks.devices --only whole --rows 10000000

The second command samples a regression of so many rows in single precision, and takes some minutes
and 5 GiB or more. Each command writes its sections of benchmarks/results/devices.md. The model is a
logistic regression. The machine must be quiet, and have two cores.

Chains: 8 chains of NUTS with 3,000 draws for 1,000 rows and 24 columns, without compiling: seconds
of warm-up and sampling, the median of several repeats, which take turns. "Ratio" is the median of
the quotients of the first line by this one, repeat by repeat; "cpu" is processor time of all
threads.

Rows: milliseconds of a log density with its gradient for 10 columns, the median of 20 calls in
turn; and the largest difference of value and gradient from one device, relative to the largest
entry. One device uses one core for small batches, and two for products of large matrices. With
rows divided, each device uses its own.
"""

import argparse
import os
import re
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist

os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")
jax.config.update("jax_num_cpu_devices", 2)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from infer.density.family import make_family
from infer.density.points import evaluate_batch
from infer.programs.native import call_compiled

RESULTS = Path(__file__).parent / "results" / "devices.md"
COLUMNS, CALLS = 10, 20


def logistic(site: Any, x: Any, y: Any) -> None:
    """Declare the model."""
    slope = site("slope", dist.Normal(0.0, 1.0), shape=(x.shape[1],))
    site.observe("y", dist.Bernoulli(logits=x @ slope), y)


def simulate(rows: int, columns: int, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
    """Simulate data of the model, in slices that bound the memory."""
    rng = np.random.default_rng(0)
    slope = np.linspace(-0.5, 0.5, columns)
    x, y = np.empty((rows, columns), dtype), np.empty(rows, dtype)
    for own in np.array_split(np.arange(rows), max(1, rows // 10**6)):
        x[own] = rng.normal(size=(len(own), columns))
        y[own] = rng.random(len(own)) < 1 / (1 + np.exp(-x[own] @ slope))
    return x, y


def divide(x: np.ndarray, y: np.ndarray) -> infer.Model:
    """Make the model with its rows divided over all devices."""
    return infer.model(logistic, x=infer.data(x, shard="row"), y=infer.data(y, shard="row"))


def chains(repeats: int, draws: int) -> list[str]:
    """Compare one device and thread with two of each."""
    jax.config.update("jax_enable_x64", True)
    x, y = simulate(1000, 24, float)
    model, devices = infer.model(logistic, x=x, y=y), jax.devices()
    ways = {"one device, one thread": (1, 1), "one device, two threads": (1, 2),
            "two devices": (2, 2)}  # fmt: skip

    def run(count: int, threads: int) -> tuple[float, float, np.ndarray]:
        made = infer.start(
            model, infer.NUTS(), chains=8, devices=devices[:count], threads=threads, progress=False
        )
        began = time.process_time()
        made.advance(draws)
        cpu = time.process_time() - began
        return made.timing.warmup + made.timing.sampling, cpu, made.draws().positions

    found = {name: run(*way)[2] for name, way in ways.items()}
    first, *others = found.values()
    same = all((first == other).all() for other in others)
    taken = [{name: run(*way)[:2] for name, way in ways.items()} for _ in range(repeats)]
    lines = ["| | seconds | cpu, s | ratio |", "| --- | --- | --- | --- |"]
    base = next(iter(ways))
    for name in ways:
        seconds, cpu = (statistics.median(own[name][i] for own in taken) for i in (0, 1))
        ratio = statistics.median(own[base][0] / own[name][0] for own in taken)
        lines.append(f"| {name} | {seconds:.2f} | {cpu:.2f} | {ratio:.2f} |")
    return ["## Chains\n", *lines, f"\nAll draws the same, bit for bit: {same}.\n"]


def rows(numbers: list[int]) -> list[str]:
    """Compare gradients of one and two devices."""
    lines = ["| rows | precision | chains | one device, ms | two devices, ms | difference |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    for number in numbers:
        for double in (True, False):
            jax.config.update("jax_enable_x64", double)
            x, y = simulate(number, COLUMNS, np.float64 if double else np.float32)
            pair = [infer.model(logistic, x=x, y=y), divide(x, y)]
            del x, y
            for lanes in (1, 4):
                one, two, difference = compare(pair, lanes)
                kind = "double" if double else "single"
                lines.append(
                    f"| {number:,} | {kind} | {lanes} | {one:.2f} | {two:.2f} | {difference:.1e} |"
                )
    return ["## Rows\n", *lines, ""]


def compare(models: list[infer.Model], lanes: int) -> tuple[float, float, float]:
    """Return milliseconds of a gradient for both models, and the largest relative difference."""
    families = [make_family(model, jacobian=True) for model in models]
    points = 0.1 * np.random.default_rng(1).normal(size=(lanes, COLUMNS))
    points = points.astype(jax.dtypes.canonicalize_dtype(float))

    def evaluate(family: Any) -> Any:
        own = family.rows(np.zeros(lanes, int))
        return jax.block_until_ready(call_compiled(evaluate_batch, family.shared, own, points))

    first, second = map(evaluate, families)
    taken: list[list[float]] = [[], []]
    for _ in range(CALLS):
        for own, family in zip(taken, families, strict=True):
            began = time.perf_counter()
            evaluate(family)
            own.append(1e3 * (time.perf_counter() - began))
    parts = [(first.value, second.value), (first.gradient, second.gradient)]
    differences = [np.abs(np.asarray(a) - np.asarray(b)).max() / np.abs(a).max() for a, b in parts]
    one, two = map(statistics.median, taken)
    return one, two, float(max(differences))


def whole(number: int) -> list[str]:
    """Sample a regression of many rows, from its mode, in single precision."""
    jax.config.update("jax_enable_x64", False)
    x, y = simulate(number, COLUMNS, np.float32)
    model = divide(x, y)
    began = time.perf_counter()
    mode = infer.maximize(model, infer.MAP("unconstrained"), starts=1)
    searched = time.perf_counter() - began
    made = infer.start(model, infer.NUTS(), chains=2, warmup=60, starts=mode.values, progress=False)
    made.advance(20)
    draws = made.draws()
    gradients = sum(work.gradients for work in made.places.work.values())
    seconds = made.timing.warmup + made.timing.sampling
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    far = np.abs(draws.positions.mean((0, 1)) - np.asarray(mode.values["slope"])).max()
    # After the peak was read: the rows are now on one device as well.
    one, two, difference = compare([infer.model(logistic, x=x, y=y), model], 2)
    return [
        f"## {number:,} rows\n",
        "Single precision, rows divided over two devices, two chains of NUTS from the mode.\n",
        "| mode, s | 60 draws of warm-up and 20 draws, s | gradients | ms a gradient | peak, GiB | "
        "largest distance of the mean from the mode |",
        "| --- | --- | --- | --- | --- | --- |",
        f"| {searched:.0f} | {seconds:.0f} | {gradients} | {1e3 * seconds / gradients:.0f} | "
        f"{peak:.1f} | {far:.1e} |\n",
        f"A gradient of both chains takes {two:.0f} ms with rows divided over two devices, and "
        f"{one:.0f} ms on one device, which uses both cores for the products of large matrices. "
        f"The largest relative difference is {difference:.1e}.\n",
    ]


def keep_others(lines: list[str]) -> list[str]:
    """Return new sections with those of the page that were not measured again."""
    old = RESULTS.read_text() if RESULTS.exists() else ""
    kept = re.findall(r"^## .*?(?=^## |\Z)", old, re.M | re.S)
    new = re.findall(r"^## .*?(?=^## |\Z)", "\n".join([*lines, ""]), re.M | re.S)
    sections = {text.partition("\n")[0]: text.rstrip() + "\n" for text in (*kept, *new)}
    return list(sections.values())


def main() -> None:
    """Measure what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=["chains", "rows"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--draws", type=int, default=3000)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    given = parser.parse_args()
    lines: list[str] = []
    if "chains" in given.only:
        lines += chains(given.repeats, given.draws)
    if "rows" in given.only:
        lines += rows(given.rows)
    if "whole" in given.only:
        lines += whole(given.rows[-1])
    print("\n".join(lines))
    page.write(RESULTS, "Chains and rows on several devices", __doc__, keep_others(lines))


if __name__ == "__main__":
    main()
