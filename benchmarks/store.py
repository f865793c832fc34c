"""What storing a run costs, and how much memory it needs: `python benchmarks/store.py`.

Runs with and without a store alternate, in a process that has compiled everything before. Peak
memory is that of a process that makes 10^3, 10^4 or 10^5 draws of two chains of 500 coordinates, of
which four are stored.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings

import jax
import numpy as np
import numpyro.distributions as dist

import infer

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

SIZE = 500


def schools(site, y):
    mu = site("mu", dist.Normal(0, 5))
    tau = site("tau", dist.HalfNormal(5))
    theta = site("theta", dist.Normal(0, 1), shape=(8,))
    site.observe("y", dist.Normal(mu + tau * theta, 10.0), y)


def regression(site, x, y):
    beta = site("beta", dist.Normal(0, 2.5), shape=(x.shape[1],))
    site.observe("y", dist.Bernoulli(logits=x @ beta), y)


def wide(site, scale):
    site("x", dist.Normal(0, scale))


def wide_in_two(site):
    site("head", dist.Normal(0, 1), shape=(4,))
    site("tail", dist.Normal(0, 1), shape=(SIZE - 4,))


def models():
    """Return each model with the number of draws that takes some ten seconds."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1000, 24))
    y = (rng.uniform(size=1000) < 1 / (1 + np.exp(-x[:, 0]))).astype(int)
    scale = np.exp(rng.normal(size=SIZE))
    return {
        "eight schools": (infer.model(schools, y=rng.normal(5, 10, 8)), 300_000),
        "logistic regression, 1000 rows": (infer.model(regression, x=x, y=y), 30_000),
        "normal of 500 coordinates": (infer.model(wide, scale=scale), 20_000),
    }


def run(model, draws, stored):
    """Return the seconds of one run of HMC, and those of its CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        store = f"{folder}/run.zarr" if stored else None
        began, spent = time.perf_counter(), time.process_time()
        infer.sample(model, infer.HMC(), draws=draws, progress=False, store=store)
        return time.perf_counter() - began, time.process_time() - spent


def measure_cost(rounds, scale):
    print("\n| model | draws | seconds in memory | seconds in a store | cost | cost in CPU time |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, (model, draws) in models().items():
        draws = int(draws * scale)
        for stored in (False, True):
            run(model, 10, stored)
        pairs = [[run(model, draws, stored) for stored in (False, True)] for _ in range(rounds)]
        plain, kept = np.median(pairs, 0)[:, 0]
        wall, cpu = (f"{np.median([k[i] / p[i] for p, k in pairs]) - 1:+.1%}" for i in (0, 1))
        print(f"| {name} | {draws} | {plain:.2f} | {kept:.2f} | {wall} | {cpu} |", flush=True)


def print_memory(draws):
    """Print the peak memory of a process that stores so many draws."""
    model, chosen = infer.model(wide_in_two), {"keep": "head", "chains": 2, "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        infer.sample(model, infer.HMC(), draws=draws, store=f"{folder}/run.zarr", **chosen)
    print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure_memory():
    print("| draws per chain | peak memory in MB |\n| ---: | ---: |")
    for draws in (1_000, 10_000, 100_000):
        command = [sys.executable, __file__, "--draws", str(draws)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        print(f"| {draws} | {done.stdout.strip()} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of draws")
    parser.add_argument("--draws", type=int, help="print the peak memory of one run")
    parser.add_argument("--only", choices=["cost", "memory"])
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore", infer.SamplingWarning)
    if given.draws:
        print_memory(given.draws)
        return
    # First, since the system counts what a parent has in memory as a peak of its children.
    if given.only != "cost":
        measure_memory()
    if given.only != "memory":
        measure_cost(given.rounds, given.scale)


if __name__ == "__main__":
    main()
