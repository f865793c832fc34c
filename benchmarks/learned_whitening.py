"""Compare learned with written whitening of multivariate normal sites, in effective draws.

    python -m benchmarks.learned_whitening [--case "GP of posteriordb, counts" ...] [--seeds 2]

Every model is sampled by NUTS (4 chains of 300 draws, float64) with its multivariate site whitened
(centered=False), as it is (True), and learned ("auto"). Prints, for each, the geometric mean over
the seeds of the smallest bulk ESS per 1000 gradients of sampling, in parentheses the divergent
draws of all seeds; then how much of the better the learned one has, with its standard error, which
takes two seeds or more, and the mean degree.
"""

import argparse
import warnings
from typing import Any, NamedTuple

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer

from .whitening import CASES as FIELDS, GROUPS, TIMES

jax.config.update("jax_enable_x64", True)
WAYS = {"whitened": False, "as it is": True, "learned": "auto"}
# Data of posteriordb's gp_pois_regr: 11 points, values for gp_regr and counts.
POINTS = np.arange(-10.0, 11.0, 2.0)
VALUES = np.array(
    [4.75906, 1.59423, 2.99548, 5.27501, 1.66472, 2.24347, 2.8914, 4.08681, 4.60588, 0.802364]
    + [3.92136]
)
COUNTS = np.array([40, 37, 29, 12, 4, 3, 9, 19, 77, 82, 33])


def field(site, noise, seen, y, counts, way):
    """The Gaussian process of `whitening.py`."""
    length = site("length", dist.InverseGamma(4.0, 1.0))
    scale = site("scale", dist.HalfNormal(2.0))
    kernel = scale**2 * jnp.exp(-((TIMES[:, None] - TIMES) ** 2) / (2 * length**2))
    covariance = kernel + 1e-6 * (1 + scale**2) * jnp.eye(len(TIMES))
    x = site("x", dist.MultivariateNormal(0.0, covariance), centered=way)
    if counts:
        site.observe("y", dist.Poisson(jnp.exp(noise + x[seen])), y)
    else:
        site.observe("y", dist.Normal(x[seen], noise), y)


def effects(site, z, y, way):
    """The correlated effects of `whitening.py`."""
    mean = site("mean", dist.Normal(0.0, 2.0), shape=(3,))
    scale = site("scale", dist.HalfNormal(1.0), shape=(3,))
    factor = scale[:, None] * site("correlation", dist.LKJCholesky(3, 1.0))
    prior = dist.MultivariateNormal(mean, scale_tril=factor)
    x = site("x", prior, shape=(GROUPS,), centered=way)
    site.observe("y", dist.Normal((z * x[:, None]).sum(-1), 1.0), y)


def regression(site, times, y, counts, way):
    """The priors of posteriordb's gp_regr and gp_pois_regr, with the process as a site."""
    rho, alpha = site("rho", dist.Gamma(25.0, 4.0)), site("alpha", dist.HalfNormal(2.0))
    kernel = alpha**2 * jnp.exp(-0.5 * ((times[:, None] - times) / rho) ** 2)
    prior = dist.MultivariateNormal(0.0, kernel + 1e-6 * jnp.eye(len(times)))
    x = site("x", prior, centered=way)
    if counts:
        site.observe("y", dist.Poisson(jnp.exp(x)), y)
    else:
        # As there, the variance is called sigma.
        site.observe("y", dist.Normal(x, jnp.sqrt(site("sigma", dist.HalfNormal(1.0)))), y)


def long_field(site, times, y, noise, way):
    """A Gaussian process on 64 points with two scales: 66 numbers."""
    length = site("length", dist.InverseGamma(5.0, 5.0))
    height = site("height", dist.HalfNormal(2.0))
    kernel = height**2 * jnp.exp(-0.5 * ((times[:, None] - times) / length) ** 2)
    prior = dist.MultivariateNormal(0.0, kernel + 1e-4 * jnp.eye(len(times)))
    x = site("x", prior, centered=way)
    site.observe("y", dist.Normal(x, noise), y)


def make_long(noise: float) -> tuple[Any, dict[str, Any]]:
    rng = np.random.default_rng(4)
    times = np.linspace(0.0, 10.0, 64)
    return long_field, {
        "times": times,
        "y": np.sin(times) + noise * rng.normal(size=64),
        "noise": noise,
    }


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "GP of posteriordb, values": (
        regression,
        {"times": POINTS, "y": VALUES, "counts": infer.static(False)},
    ),
    "GP of posteriordb, counts": (
        regression,
        {"times": POINTS, "y": COUNTS, "counts": infer.static(True)},
    ),
    "GP of 66 numbers, weak data": make_long(1.0),
    "GP of 66 numbers, strong data": make_long(0.01),
    **{n: (effects if n.startswith("effects") else field, own[1]) for n, own in FIELDS.items()},
}


class Measured(NamedTuple):
    """One run: ESS per 1000 gradients of sampling, divergent draws, and the mean degree."""

    rate: float
    divergent: int
    degree: float


def measure(model: infer.Model, seed: int) -> Measured:
    found = infer.sample(model, infer.NUTS(), draws=300, key=seed, progress=False)
    names = [site.name for site in infer.log_density(model).latent]
    ess, stats = az.ess(found, var_names=names, method="bulk"), found["sample_stats"]
    least = min(float(np.nanmin(ess[name].values)) for name in names)
    degrees = stats.coords.get("centering_x")
    return Measured(
        1000 * least / int(stats["n_steps"].sum()),
        int(stats["diverging"].sum()),
        np.nan if degrees is None else float(degrees.mean()),
    )


def compare(logs: dict[str, np.ndarray]) -> str:
    """Compare learned with the better of the others, from logarithms of rates by seed."""
    better = max(("whitened", "as it is"), key=lambda way: logs[way].mean())
    pair = logs["learned"], logs[better]
    ratio = float(np.exp(pair[0].mean() - pair[1].mean()))
    seeds = len(pair[0])
    error = np.sqrt(sum(own.var(ddof=1) for own in pair) / seeds) if seeds > 1 else np.nan
    return f"{ratio:5.2f} ± {ratio * error:.2f} of the better"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--case", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--seeds", type=int, default=2)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in chosen.case:
        function, given = CASES[name]
        cells, logs, degree = [], {}, np.nan
        for way, centered in WAYS.items():
            model = infer.model(function, way=infer.static(centered), **given)
            runs = [measure(model, seed) for seed in range(chosen.seeds)]
            logs[way] = np.log([run.rate for run in runs])
            rate, divergent = np.exp(logs[way].mean()), sum(run.divergent for run in runs)
            cells.append(f"{rate:7.2f} ({divergent})")
            degree = float(np.mean([run.degree for run in runs]))
        print(f"{name:30s} {'  '.join(cells)}  {compare(logs)}, degree {degree:.2f}", flush=True)


if __name__ == "__main__":
    main()
