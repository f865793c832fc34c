"""Compare maps of correlation matrices by effective draws per gradient.

    python benchmarks/correlations.py [--only NAME ...] [--seeds 0 1]

For each target and map: the smallest bulk ESS per 1000 leapfrogs, warm-up included, over the
diagonal of the Cholesky factor, its entries below the diagonal, and the correlations; the largest
R-hat of all; medians over the seeds. Targets: priors of three strengths; correlations of 0.9 known
from many rows and from few; a prior of 20 rows.
"""

import argparse
import statistics
import warnings
from typing import Any

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import arviz as az
import jax.numpy as jnp
import numpyro.distributions as dist

import infer

MAPS = ("partial_correlations", "normalized_rows")


def prior(order: int, concentration: float) -> Any:
    """Return a model that is a prior alone."""
    return lambda bijector: infer.model(
        lambda site: site("L", dist.LKJCholesky(order, concentration), bijector=bijector)
    )


def normals(order: int, rows: int, correlation: float) -> Any:
    """Return a model of normal rows whose neighbors have a correlation."""
    lag = np.abs(np.subtract.outer(np.arange(order), np.arange(order)))
    factor = np.linalg.cholesky(correlation**lag)
    data = np.random.default_rng(0).normal(size=(rows, order)) @ factor.T

    def rows_of(site, bijector, y):
        factor = site("L", dist.LKJCholesky(order, 1.0), bijector=bijector)
        sd = site("sd", dist.HalfNormal(2.0), shape=(order,))
        site.observe("y", dist.MultivariateNormal(0.0, scale_tril=sd[:, None] * factor), y)

    return lambda bijector: infer.model(rows_of, bijector=bijector, y=data)


TARGETS = {
    "LKJ(3, 1)": prior(3, 1.0),
    "LKJ(7, 1)": prior(7, 1.0),
    "LKJ(7, 2)": prior(7, 2.0),
    "LKJ(7, 10)": prior(7, 10.0),
    "LKJ(20, 2)": prior(20, 2.0),
    "7, 200 rows, 0.9": normals(7, 200, 0.9),
    "7, 8 rows, 0.9": normals(7, 8, 0.9),
    "3, 20 rows, 0.99": normals(3, 20, 0.99),
}


def measure(model: infer.Model, seed: int) -> dict[str, float]:
    """Sample once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = infer.sample(model, key=seed, progress=False)
    factor = np.asarray(data["posterior"]["L"])
    below = np.tril_indices(factor.shape[-1], -1)
    groups = {
        "diagonal": np.diagonal(factor, axis1=-2, axis2=-1)[..., 1:],
        "below": factor[..., *below],
        "R": np.asarray(jnp.einsum("cdij,cdkj->cdik", factor, factor))[..., *below],
    }
    gradients = int(data["sample_stats"]["n_steps"].sum()) + int(data.attrs["warmup_gradients"])
    found = {name: 1000 * smallest_ess(x) / gradients for name, x in groups.items()}
    largest = max(
        float(az.rhat(x[..., i])) for x in groups.values() for i in range(x.shape[-1])
    )  # fmt: skip
    divergences = int(data["sample_stats"]["diverging"].sum())
    return found | {"R-hat": largest, "divergences": divergences, "gradients": gradients}


def smallest_ess(x: np.ndarray) -> float:
    return min(float(az.ess(x[..., i])) for i in range(x.shape[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(TARGETS))
    parser.add_argument("--maps", nargs="*", default=MAPS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    asked = parser.parse_args()
    print("| target | map | diagonal | below | R | R-hat | divergences | gradients |")
    print("| --- | --- " + "| ---: " * 6 + "|")
    for name in asked.only:
        for bijector in asked.maps:
            runs = [measure(TARGETS[name](bijector), seed) for seed in asked.seeds]
            row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            cells = [f"{row[key]:.1f}" for key in ("diagonal", "below", "R")]
            cells += [f"{row['R-hat']:.3f}", f"{row['divergences']:.0f}", f"{row['gradients']:.0f}"]
            print(f"| {name} | {bijector} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
