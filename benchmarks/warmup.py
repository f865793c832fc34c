"""Measure the smallest bulk ESS per gradient for several warm-ups and metrics, on nine models.

    python benchmarks/warmup.py [--seeds 3] [--models radon ...] [--warmups 150 300 500]

Leapfrog steps are counted, not timed, so the machine may be busy. Each line is one setting on one
model: medians over the seeds of the smallest bulk ESS per 1000 gradients (warm-up included) and of
the gradients of warm-up, and the largest R-hat and number of divergences of any seed. Each run has
four chains of 1000 draws in float64.
"""

import argparse
import os
import statistics
import sys
from pathlib import Path

import jax

# Compiling is part of what is measured.
os.environ["PUSHFORWARD_CACHE"] = "0"

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks.peers.in_jax import ours
from benchmarks.peers.samplers import quality
from benchmarks.peers.suite import SUITE

DIAGONAL = infer.NUTS(rank=0, stop_early=False)


def measured(name: str, engine: infer.Engine, warmup: int, seeds: int) -> list[dict[str, float]]:
    run = ours(SUITE[name], engine=engine, warmup=warmup)
    return [quality(run(seed, 1000)) for seed in range(seeds)]


def line(found: list[dict[str, float]]) -> str:
    per_gradient = [1000 * f["ess"] / (f["sampled"] + f["warmed"]) for f in found]
    warmed = statistics.median(f["warmed"] for f in found)
    rhat, divergences = (max(f[key] for f in found) for key in ("rhat", "divergences"))
    each = ", ".join(f"{p:.1f}" for p in per_gradient)
    middle = statistics.median(per_gradient)
    return f"{middle:.1f} | {each} | {warmed / 1000:.1f} | {rhat:.3f} | {divergences:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(SUITE))
    parser.add_argument("--warmups", type=int, nargs="*", default=[150, 300, 500])
    asked = parser.parse_args()
    print(
        "| model | metric | warm-up | ESS / 1000 gradients | each seed | warm-up gradients, k |",
        end="",
    )
    print(" R-hat | divergences |\n| --- | --- | --: | --: | --- | --: | --: | --: |")
    for name in asked.models:
        settings = [("low rank", infer.NUTS(stop_early=False), w) for w in asked.warmups]
        settings += [("low rank, stops early", infer.NUTS(), 300), ("diagonal", DIAGONAL, 300)]
        for metric, engine, warmup in settings:
            found = measured(name, engine, warmup, asked.seeds)
            print(f"| {name} | {metric} | {warmup} | {line(found)}", flush=True)


if __name__ == "__main__":
    main()
