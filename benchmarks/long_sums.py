"""Measure the log density of many rows in float32: energy errors, gradients, acceptance, cost.

    python benchmarks/long_sums.py [--rows 10000 100000 1000000] [--threads 2]

Prints two tables. The first follows leapfrog trajectories in float32 and compares the change of the
log density from their start with that at the same points in float64 (NumPy): as the plain sum of
the rows, and relative to a reference, as the samplers compute it. The second runs NUTS in both
precisions. Each line is measured in its own process.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

SIZE, TRAJECTORIES, STEPS = 5, 8, 10


def problem(kind, rows):
    """Return a model, its log density in NumPy, and data."""
    import numpy as np
    import numpyro.distributions as dist

    import infer

    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, SIZE))
    slope = np.linspace(-0.5, 0.5, SIZE)

    def normal(site, x, y):
        slope = site("slope", dist.Normal(0.0, 1.0), shape=(SIZE,))
        site.observe("y", dist.Normal(x @ slope, 1.0), y)

    def logistic(site, x, y):
        slope = site("slope", dist.Normal(0.0, 1.0), shape=(SIZE,))
        site.observe("y", dist.Bernoulli(logits=x @ slope), y)

    if kind == "normal":
        y = x @ slope + rng.normal(size=rows)
    else:
        y = (rng.random(rows) < 1 / (1 + np.exp(-x @ slope))).astype(float)
    x, y = x.astype(np.float32), y.astype(np.float32)
    model = infer.model({"normal": normal, "logistic": logistic}[kind], x=x, y=y)
    x, y = x.astype(np.float64), y.astype(np.float64)

    def exact(q):
        q = np.asarray(q, np.float64)
        mean = x @ q
        own = -0.5 * (y - mean) ** 2 if kind == "normal" else y * mean - np.logaddexp(0, mean)
        force = y - mean if kind == "normal" else y - 1 / (1 + np.exp(-mean))
        return own.sum() - 0.5 * (q @ q), x.T @ force - q

    return model, exact, slope


def energies(kind, rows):
    """Compare energies and gradients along trajectories in float32 with those in float64."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    import infer
    from infer.numerics.leapfrog import leapfrog, start_trajectory
    from infer.numerics.metric import Diagonal

    model, exact, slope = problem(kind, rows)
    density = infer.log_density(model)
    sd = (1 if kind == "normal" else 2) / np.sqrt(rows)
    metric = Diagonal(np.full(SIZE, sd, np.float32))
    step = jax.jit(
        lambda density, point, reference: leapfrog(
            lambda q: density.evaluate_from(q, reference), point, jnp.float32(0.3), metric
        )
    )
    narrow = jax.jit(lambda density, q, _: density.evaluate(q))
    beyond = jax.jit(lambda density, q, reference: density.evaluate_from(q, reference))
    rng = np.random.default_rng(1)
    errors, slopes = [], []
    point: Any = None
    reference: Any = None
    for _ in range(TRAJECTORIES):
        q = jnp.asarray(slope + sd * rng.normal(size=SIZE), jnp.float32)
        reference, gradient = narrow(density, q, None)
        momentum = jnp.asarray(rng.normal(size=SIZE), jnp.float32)
        point, found = start_trajectory(q, momentum, gradient, jnp.float32(0), metric), []
        for _ in range(STEPS):
            point = step(density, point, reference)
            value, force = exact(point.position)
            plain = float(narrow(density, point.position, None)[0])
            found.append([plain - value, float(point.log_density) - value])
            slopes.append(np.abs(np.asarray(point.gradient) - force).max() * sd)
        errors.append(np.asarray(found)[1:] - found[0])
    every, slope_error = np.abs(np.concatenate(errors)), max(slopes)
    at = density, point.position, reference
    for i, (name, cost) in enumerate(
        {"plain": seconds(narrow, *at), "from a reference": seconds(beyond, *at)}.items()
    ):
        spread, most = np.sqrt((every[:, i] ** 2).mean()), every[:, i].max()
        cells = f"{spread:.2g} | {most:.2g} | {slope_error:.1g} | {1e3 * cost:.2f}"
        print(f"| {kind} | {rows} | {name} | {cells} |", flush=True)


def seconds(function, *arguments):
    """Return the median time of a call."""
    import jax

    spent = []
    for _ in range(20):
        began = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        spent.append(time.perf_counter() - began)
    return sorted(spent)[len(spent) // 2]


def sampled(kind, rows, threads):
    """Run NUTS in the precision of this process."""
    import jax
    import numpy as np

    import infer

    model, _, slope = problem(kind, rows)
    run = infer.start(
        model, infer.NUTS(), chains=2, warmup=200, starts={"slope": slope.astype(np.float32)},
        threads=threads, progress=False,
    ).advance(100)  # fmt: skip
    stats = run.draws().stats
    precision = "float64" if jax.config.read("jax_enable_x64") else "float32"
    print(
        f"| {kind} | {rows} | {precision} | {stats['acceptance_rate'].mean():.2f} | "
        f"{stats['step_size'].mean():.2f} | {stats['n_steps'].mean():.1f} | "
        f"{int(stats['diverging'].sum())} |",
        flush=True,
    )


def alone(*arguments, wide):
    """Run one part in its own process, with its own default precision."""
    environment = os.environ | {"JAX_ENABLE_X64": "1" if wide else "0"}
    subprocess.run([sys.executable, __file__, *map(str, arguments)], env=environment, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[10**4, 10**5, 10**6])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs=3, metavar=("WHAT", "KIND", "ROWS"))
    asked = parser.parse_args()
    if asked.only:
        what, kind, rows = asked.only
        if what == "energies":
            return energies(kind, int(rows))
        return sampled(kind, int(rows), asked.threads)
    print("| model | rows | log density | error, rms | error, most | gradient | ms |")
    print("| --- | --: | --- | --: | --: | --: | --: |", flush=True)
    for kind in ("normal", "logistic"):
        for rows in asked.rows:
            alone("--only", "energies", kind, rows, wide=False)
    print("\n| model | rows | precision | acceptance | step size | leapfrogs | divergences |")
    print("| --- | --: | --- | --: | --: | --: | --: |", flush=True)
    for rows in asked.rows:
        for wide in (False, True):
            alone("--threads", asked.threads, "--only", "sampled", "logistic", rows, wide=wide)
    return None


if __name__ == "__main__":
    main()
