"""Compare maps of correlation matrices by effective draws per gradient.

    python -m benchmarks.correlations [--only NAME ...] [--seeds 0 1] [--large]
    python -m benchmarks.correlations --numpyro [--orders 7 20] [--seeds 0 1]

For each target and map: the smallest bulk ESS per 1000 leapfrogs, warm-up included, over the
diagonal of the Cholesky factor, its entries below the diagonal, and the correlations; the largest
R-hat of all; medians over the seeds. Targets: priors of three strengths; correlations of 0.9 known
from many rows and from few; a prior of 20 rows.

`--numpyro` compares with NumPyro instead, at defaults with 1000 draws of warm-up, for priors alone:
the same columns, and the smallest (with its standard error) and the median of the ratios of ours to
NumPyro's over all entries of the factor and of the correlations; of two seeds or more. `--large`
samples a factor of 200 rows at defaults in single precision.
"""

import argparse
import statistics
import warnings
from typing import Any, NamedTuple

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import arviz as az
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

import infer

from . import funnel
from .quality import measure_quality

HEAD = "| target | map | diagonal | below | R | R-hat | divergences | gradients |"
GROUPS = ("diagonal", "below", "R")
# Order and concentration of the priors that are compared with NumPyro.
PRIORS = ((7, 1.0), (7, 2.0), (20, 1.0), (20, 2.0))
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


class Run(NamedTuple):
    """Draws of the factor, shape (chain, draw, rows, rows); gradients with warm-up; divergences."""

    factor: np.ndarray
    gradients: int
    divergences: int


def sample(model: infer.Model, seed: int) -> Run:
    """Sample by ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = infer.sample(model, key=seed, progress=False)
    stats = data["sample_stats"]
    gradients = int(stats["n_steps"].sum()) + int(data.attrs["warmup_gradients"])
    return Run(np.asarray(data["posterior"]["L"]), gradients, int(stats["diverging"].sum()))


def sample_prior_by_numpyro(order: int, concentration: float, seed: int) -> Run:
    """Sample the prior alone by NumPyro."""
    model = lambda: numpyro.sample("L", dist.LKJCholesky(order, concentration))  # noqa: E731
    draws, gradients, divergences = funnel.sample_by_numpyro(model, seed)
    # Each call compiles again; without this, a dozen calls use up the memory maps of the process.
    jax.clear_caches()
    return Run(np.asarray(draws["L"]), gradients, divergences)


def measure(run: Run) -> dict[str, Any]:
    """Compute ESS per 1000 gradients of each entry, and the largest R-hat."""
    below = np.tril_indices(run.factor.shape[-1], -1)
    groups = {
        "diagonal": np.diagonal(run.factor, axis1=-2, axis2=-1)[..., 1:],
        "below": run.factor[..., *below],
        "R": np.asarray(jnp.einsum("cdij,cdkj->cdik", run.factor, run.factor))[..., *below],
    }
    entries = {
        name: np.array([float(az.ess(x[..., i])) for i in range(x.shape[-1])]) * 1e3 / run.gradients
        for name, x in groups.items()
    }
    largest = max(measure_quality(x).rhat for x in groups.values())
    return {"entries": entries, "R-hat": largest} | run._asdict()


def describe(name: str, what: str, runs: list[dict[str, Any]]) -> str:
    """Write medians over the seeds as a line of the table."""
    middle = lambda key: statistics.median(run[key] for run in runs)  # noqa: E731
    cells = [
        f"{statistics.median(run['entries'][group].min() for run in runs):.1f}" for group in GROUPS
    ]
    cells += [
        f"{middle('R-hat'):.3f}",
        f"{middle('divergences'):.0f}",
        f"{middle('gradients'):.0f}",
    ]
    return f"| {name} | {what} | {' | '.join(cells)} |"


def compare_maps(names: list[str], maps: list[str], seeds: list[int]) -> None:
    """Print a table of all targets and maps."""
    print(HEAD)
    print("| --- | --- " + "| ---: " * 6 + "|")
    for name in names:
        for bijector in maps:
            runs = [measure(sample(TARGETS[name](bijector), seed)) for seed in seeds]
            print(describe(name, bijector, runs), flush=True)


def compare_with_numpyro(orders: list[int], seeds: list[int]) -> None:
    """Print a table of priors alone, with the ratios of all entries."""
    head = HEAD.replace("map", "sampler")
    print(f"{head} smallest ratio | median ratio |")
    print("| --- | --- " + "| ---: " * 8 + "|")
    for order, concentration in (p for p in PRIORS if p[0] in orders):
        model = prior(order, concentration)(MAPS[0])
        ours = [measure(sample(model, seed)) for seed in seeds]
        theirs = [measure(sample_prior_by_numpyro(order, concentration, seed)) for seed in seeds]
        ratios, errors = compare_entries(ours, theirs)
        least = ratios.argmin()
        name = f"LKJ({order}, {concentration:.0f})"
        cells = f"{ratios[least]:.2f} ± {errors[least]:.2f} | {np.median(ratios):.2f} |"
        print(describe(name, "ours", ours), cells, flush=True)
        print(describe(name, "NumPyro", theirs), " | |", flush=True)


def compare_entries(
    ours: list[dict[str, Any]], theirs: list[dict[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ratio of the mean rates of each entry, and its standard error."""
    rates = [
        np.array([np.concatenate([run["entries"][group] for group in GROUPS]) for run in runs])
        for runs in (ours, theirs)
    ]
    means = [rate.mean(0) for rate in rates]
    errors = [rate.std(0, ddof=1) / np.sqrt(len(rate)) / rate.mean(0) for rate in rates]
    ratios = means[0] / means[1]
    return ratios, ratios * np.hypot(*errors)


def sample_large() -> None:
    """Sample a factor of 200 rows in single precision."""
    jax.config.update("jax_enable_x64", False)
    run = sample(prior(200, 1.0)(MAPS[0]), 0)
    ess, rhat = measure_quality(np.diagonal(run.factor, axis1=-2, axis2=-1)[..., 1:])
    print(
        f"LKJ(200, 1), {run.factor.dtype}: finite {np.isfinite(run.factor).all()}, R-hat of the "
        f"diagonal {rhat:.3f}, its smallest ESS {ess:.0f}, divergences {run.divergences}, "
        f"gradients {run.gradients:,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(TARGETS))
    parser.add_argument("--maps", nargs="*", default=MAPS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--numpyro", action="store_true")
    parser.add_argument("--orders", nargs="*", type=int, default=[7, 20])
    parser.add_argument("--large", action="store_true")
    asked = parser.parse_args()
    if asked.numpyro:
        compare_with_numpyro(asked.orders, asked.seeds)
    elif asked.large:
        sample_large()
    else:
        compare_maps(asked.only, asked.maps, asked.seeds)


if __name__ == "__main__":
    main()
