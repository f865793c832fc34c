"""Sample eight schools, written centered, with many seeds, and compare with reference values.

    python -m benchmarks.centered_schools TREE [--seeds 60]

TREE is that of `benchmarks.defaults`. The model is `infer.model` with named priors, so that
warm-up learns the centering; NUTS at defaults, four chains of 1000 draws, in double precision.
Prints how many seeds pass the check, what fails, the smallest ESS and the most gradients.
"""

import argparse
import warnings
from pathlib import Path

import jax
import numpy as np
import numpyro.distributions as dist

jax.config.update("jax_enable_x64", True)

import infer

from .approximations import load_checker

NAME = "eight_schools-eight_schools_centered"


def schools(site, sigma, y):
    mu, tau = site("mu", dist.Normal(0, 5)), site("tau", dist.HalfCauchy(5))
    theta = site("theta", dist.Normal(mu, tau), shape=(8,))
    site.observe("y", dist.Normal(theta, sigma), y)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path)
    parser.add_argument("--seeds", type=int, default=60)
    given = parser.parse_args()
    checker = load_checker(given.tree)
    entries = checker.load_index(str(given.tree))["posteriors"]
    entry = next(own for own in entries if own["name"] == NAME)
    module, data, supports, reference = checker.load_posterior(str(given.tree), entry)
    sigma, y = (np.asarray(data[name], float) for name in ("sigma", "y"))
    model = infer.model(schools, sigma=sigma, y=y)
    passed, ess, gradients = 0, [], []
    for seed in range(given.seeds):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", infer.SamplingWarning)
            result = infer.sample(model, key=seed, progress=False)
        draws = {name: np.asarray(result["posterior"][name]) for name in supports}
        found = checker.compare(checker.add_generated(module, draws, data), reference)
        passed += bool(found["ok"])
        ess.append(float(found["worst"]["ess"]))
        warmed = result.attrs["warmup_gradients"]
        gradients.append(int(result["sample_stats"]["n_steps"].sum()) + warmed)
        if not found["ok"]:
            print(seed, found["bad"][:2], flush=True)
    print(f"{passed} of {given.seeds} seeds pass; smallest ESS {min(ess):.0f}", end="; ")
    print(f"{max(gradients):,} gradients or fewer")


if __name__ == "__main__":
    main()
