"""Measure how short warm-up may be if many chains pool what they learn.

    python -m benchmarks.many_chains [--models radon ...] [--chains 64 512] [--warmups 300 100]

Writes benchmarks/results/many_chains.md. Each line is one run of NUTS with the given number of
chains and maximum number of warm-up draws. It makes only 50 draws per chain, as is usual with many
chains, so that the effects of an incomplete warm-up are visible. Columns: warm-up draws made, its
gradients per chain, the mean acceptance in sampling (the target is 0.8), the smallest bulk ESS per
1000 gradients, warm-up included, the largest error of a mean in the posterior's standard deviations
and the largest relative error of a standard deviation, both over all coordinates and against a run
of 64 chains of 2000 draws, and the error of a mean that is expected from the ESS alone. The machine
may be busy.
"""

import argparse
import os
import sys
from pathlib import Path

import arviz as az
import jax
import numpy as np

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from benchmarks.peers.suite import SUITE

RESULTS = Path(__file__).parent / "results" / "many_chains.md"
MODELS = ["eight schools", "radon", "item response", "volatility", "horseshoe"]
DRAWS = 50
REFERENCE = {"chains": 64, "draws": 2000, "key": 99}


def drawn(name: str, engine: infer.Engine, chains: int, draws: int, warmup: int, key: int):
    case = SUITE[name]
    model = infer.from_numpyro(case.numpyro, **case.data())
    run = infer.start(model, engine, chains=chains, warmup=warmup, key=key, progress=False)
    return run.advance(draws)


def moments(run: infer.Run) -> tuple[np.ndarray, np.ndarray]:
    """Compute means and standard deviations of the unconstrained coordinates."""
    positions = run.draws().positions
    return positions.mean((0, 1)), positions.std((0, 1))


def line(run: infer.Run, mean: np.ndarray, sd: np.ndarray) -> str:
    draws, stats = run.draws().positions, run.draws().stats
    ess = min(float(az.ess(draws[..., i])) for i in range(draws.shape[-1]))
    own_mean, own_sd = moments(run)
    gradients = run.warmup.gradients + int(stats["n_steps"].sum())
    off, spread = np.abs(own_mean - mean) / sd, np.abs(own_sd / sd - 1)
    return (
        f"{run.warmup.draws} | {run.warmup.gradients / run.chains:.0f} | "
        f"{float(stats['acceptance_rate'].mean()):.2f} | {1000 * ess / gradients:.1f} | "
        f"{off.max():.3f} | {spread.max():.3f} | {np.sqrt(1 / ess):.3f} | "
        f"{int(stats['diverging'].sum())} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--chains", type=int, nargs="*", default=[64, 512])
    parser.add_argument("--warmups", type=int, nargs="*", default=[300, 150, 100, 60])
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    lines = [
        "| model | chains | at most | made | gradients a chain | acceptance | "
        "ESS / 1000 gradients | error of a mean | of an sd | expected | divergences |",
        "| --- |" + " --: |" * 10,
    ]
    for name in asked.models:
        engine = infer.NUTS(stop_early=False)
        reference = moments(drawn(name, engine, warmup=300, **REFERENCE))
        for chains in asked.chains:
            for warmup in asked.warmups:
                run = drawn(name, infer.NUTS(), chains, DRAWS, warmup, key=0)
                lines.append(f"| {name} | {chains} | {warmup} | {line(run, *reference)}")
                print(lines[-1], flush=True)
    page.write(asked.results, "Warm-up of many chains", __doc__, lines)


if __name__ == "__main__":
    main()
