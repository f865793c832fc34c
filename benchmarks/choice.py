"""Measure what the choice of an engine rests on, besides benchmarks/results/warmup.md.

    python -m benchmarks.choice [--seeds 2] [--models radon ...] [--features 3000]

Writes benchmarks/results/choice.md. The first table compares NUTS and HMC by the smallest bulk ESS
per 1000 gradients, warm-up included, as medians over the seeds, with the columns of
`benchmarks/warmup.py`. The second compares a diagonal metric and one with 32 directions, on a
logistic regression with correlated features. It has so many coordinates that, by size alone,
directions would not pay, but its gradient costs far more than they do. There the ESS is also per
second, so the machine should be idle.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from benchmarks.peers.suite import SUITE
from benchmarks.warmup import line, measured

RESULTS = Path(__file__).parent / "results" / "choice.md"
ROWS = 200
ENGINES = {"NUTS": infer.NUTS(), "HMC": infer.HMC()}


def correlated_features(size: int) -> infer.Model:
    """Make a logistic regression whose features share ten causes."""
    import numpyro.distributions as dist

    rng = np.random.default_rng(6)
    causes = rng.normal(size=(ROWS, 10)) @ rng.normal(size=(10, size))
    x = (causes + rng.normal(size=(ROWS, size))) / np.sqrt(11 * size)
    y = (rng.random(ROWS) < 0.5).astype(int)

    def regression(site, x, y):
        b = site("b", dist.Normal(0, 10), shape=(size,))
        site.observe("y", dist.Bernoulli(logits=x @ b), y)

    return infer.model(regression, x=x, y=y)


def large(size: int) -> list[str]:
    """Compare metrics on the regression; the timed run compiles nothing."""
    import arviz as az

    model, lines = correlated_features(size), []
    for rank in (0, 32):
        infer.sample(model, infer.NUTS(rank=rank), draws=1, warmup=20, key=1, progress=False)
        began = time.perf_counter()
        data = infer.sample(model, infer.NUTS(rank=rank), draws=300, key=0, progress=False)
        seconds = time.perf_counter() - began
        b = np.asarray(data["posterior"]["b"])
        ess = min(float(az.ess(b[..., i])) for i in range(0, size, 30))
        gradients = int(data["sample_stats"]["n_steps"].sum()) + data.attrs["warmup_gradients"]
        lines.append(
            f"| {size} | {rank} | {1000 * ess / gradients:.1f} | {ess / seconds:.1f} | "
            f"{gradients / 1000:.0f} | {1e6 * seconds / gradients:.0f} |"
        )
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--models", nargs="*", default=list(SUITE))
    parser.add_argument("--features", type=int, default=3000)
    asked = parser.parse_args()
    lines = [
        "| model | engine | ESS / 1000 gradients | each seed | warm-up gradients, k | R-hat | "
        "divergences |",
        "| --- | --- | --: | --- | --: | --: | --: |",
    ]
    for name in asked.models:
        for title, engine in ENGINES.items():
            found = measured(name, engine, 300, asked.seeds)
            lines.append(f"| {name} | {title} | {line(found)}")
            print(lines[-1], flush=True)
    lines += [
        "",
        "| coordinates | directions | ESS / 1000 gradients | ESS / s | gradients, k | "
        "µs a gradient |",
        "| --: |" + " --: |" * 5,
        *large(asked.features),
    ]
    page.write(RESULTS, "Choice", __doc__, lines)


if __name__ == "__main__":
    main()
