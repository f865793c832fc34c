"""Measure what a sampler saves that begins at the default fit: `infer.sample(model, starts=fit)`.

    python -m benchmarks.fit_starts [--only CASE ...] [--seeds 0 1 2]

Prints, for each model of the peers' suite, medians over the seeds of the gradients of warm-up, of
the smallest bulk ESS per 1000 gradients of warm-up and sampling together, and the largest
difference of a mean between the two runs, in standard errors. The gradients of the fit are without
those of its audit; warm-up includes gradients that make the metric of a fit.
"""

import argparse
import os
import statistics
import warnings
from typing import Any

import jax
import numpy as np

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

jax.config.update("jax_enable_x64", True)

import arviz as az

import infer

from .peers.suite import SUITE, Case

CASES = ("radon", "item response", "logistic")


def measure(case: Case, data: Any) -> dict[str, Any]:
    """Return cost and moments of one result."""
    posterior = {name: np.asarray(data["posterior"][name]) for name in case.sites}
    flat = np.concatenate([x.reshape(*x.shape[:2], -1) for x in posterior.values()], -1)
    ess = np.array([float(az.ess(flat[..., i])) for i in range(flat.shape[-1])])
    warmup = int(data.attrs["warmup_gradients"])
    gradients = warmup + int(data["sample_stats"]["n_steps"].sum())
    return {
        "warmup": warmup,
        "rate": 1000 * ess.min() / gradients,
        "mean": flat.mean((0, 1)),
        "error": flat.std((0, 1)) / np.sqrt(ess),
    }


def compare(name: str, seed: int) -> dict[str, float]:
    """Sample with and without the fit."""
    case, engine = SUITE[name], infer.NUTS()
    model = infer.from_numpyro(case.numpyro, **case.data())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit: Any = infer.fit(model, key=seed, progress=False)
        plain, started = (
            measure(case, infer.sample(model, engine, key=seed, progress=False, **options))
            for options in ({}, {"starts": fit})
        )
    apart = np.abs(plain["mean"] - started["mean"]) / np.hypot(plain["error"], started["error"])
    return {
        "fit": fit.n_gradients,
        "warm-up": plain["warmup"],
        "warm-up begun": started["warmup"],
        "ESS rate": plain["rate"],
        "ESS rate begun": started["rate"],
        "apart": float(apart.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=CASES)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    names = ("fit", "warm-up", "warm-up begun", "ESS rate", "ESS rate begun", "apart")
    print("| model | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(names))
    for name in asked.only:
        runs = [compare(name, seed) for seed in asked.seeds]
        row = [statistics.median(run[key] for run in runs) for key in names]
        print(f"| {name} | " + " | ".join(f"{x:.4g}" for x in row) + " |", flush=True)


if __name__ == "__main__":
    main()
