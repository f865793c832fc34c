"""Calibrate what learns a posterior's geometry or crosses its modes, by simulation.

    python -m benchmarks.calibration [--share 1.0] [--key 2]

Writes results/calibration.md. Values are drawn from the prior and data given the values, so the
values are a draw of the posterior given these data, and their ranks among the draws of a sampler
are uniform (Talts et al. 2018, arXiv 1804.06788). Every number of the model is ranked, and so are
the log densities of prior and likelihood. `p` is the smallest p-value of all these quantities times
their number; below 0.001 the ranks are not uniform. `shift` is the largest distance of a quantity's
mean rank from the middle, in standard errors, and `spread` the smallest and the largest variance of
ranks over that of uniform ones. `divergent` is the share of all transitions after warm-up, of which
there are `draws` times `thin` for each data set. Double precision.

The rows of NUTS are `infer.calibrate(model, engine)`, with one chain for each data set, whose draws
are thinned. `infer.Tempered(levels=4)` samples one data set at a time, all with one program, and
the truth is ranked among the tenth draws of 19 independent ladders, after 100 draws of warm-up.
`--share` scales the numbers of data sets.

Steps chosen within the trajectory are no option of NUTS: they lost (see
[geometry.md](geometry.md)). `python -m benchmarks.local_steps --check` tests their prototype.
"""

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import scipy.stats
import xarray

jax.config.update("jax_enable_x64", True)
sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from infer.output.predictive.calibration import SIMULATION, Calibration

RESULTS = Path(__file__).parent / "results" / "calibration.md"
ERRORS = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
ALARM = 1e-3
LADDERS, LEVELS, WARMUP, DRAWS = 19, 4, 100, 10


def schools(site, errors, y, centered):
    """Eight schools; the spread may be small beside the errors."""
    mean, spread = site("mean", dist.Normal(0, 5)), site("spread", dist.HalfNormal(5))
    effect = site("effect", dist.Normal(mean, spread), shape=(8,), centered=centered)
    site.observe("y", dist.Normal(effect, errors), y)


def vectors(site, errors, y):
    """Correlated effects, known with small and with large errors, and a log-normal width."""
    mean, spread = site("mean", dist.Normal(0, 1)), site("spread", dist.LogNormal(0, 0.5))
    factor = spread * jnp.array([[1.0, 0.0], [0.8, 0.6]])
    prior = dist.MultivariateNormal(mean * jnp.ones(2), scale_tril=factor)
    effect = site("effect", prior, shape=(4,))
    width = site("width", dist.LogNormal(mean, spread))
    site.observe("y", dist.Normal(effect + 0.3 * jnp.log(width), errors), y)


def square(site, y):
    """Two modes of unequal weights, and a scale."""
    x, noise = site("x", dist.Normal(0.3, 1)), site("noise", dist.LogNormal(-1, 0.5))
    site.observe("y", dist.Normal(x**2, noise), y)


SCHOOLS = {
    way: infer.model(schools, errors=ERRORS, y=None, centered=infer.static(way))
    for way in ("auto", True)
}
VECTORS = infer.model(vectors, errors=np.geomspace(0.05, 5, 4)[:, None] * np.ones(2), y=None)
SQUARE = infer.model(square, y=np.zeros(1))
# Each with its number of data sets.
CASES = {
    "eight schools, centering learned": (SCHOOLS["auto"], infer.NUTS(), 1000),
    "normal vectors and a log-normal value, centering learned": (VECTORS, infer.NUTS(), 2000),
    "eight schools, centered, hierarchical metric": (
        SCHOOLS[True],
        infer.NUTS(metric="hierarchical"),
        500,
    ),
}
TEMPERED_SETS = 200
TEMPERED = {
    "two modes, tempered from a fitted normal": infer.Tempered(levels=LEVELS),
    "two modes, tempered from the prior": infer.Tempered(levels=LEVELS, reference="prior"),
}


def calibrate_tempered(settings: infer.Tempered, simulations: int, key: int) -> Calibration:
    """Rank true values among the last draws of independent ladders, one data set at a time."""
    rng = np.random.default_rng(key)
    keys = rng.integers(2**31, size=simulations)
    found: list[dict[str, np.ndarray]] = []
    divergent = np.zeros(simulations, int)
    for index, own_key in enumerate(keys):
        x, noise = rng.normal(0.3, 1), np.exp(rng.normal(-1, 0.5))
        y = rng.normal(x**2, noise)
        # One program for all chains: one for each of them took five times as long.
        result = infer.sample(
            SQUARE.with_data(y=np.array([y])), settings, chains=LADDERS, warmup=WARMUP, draws=DRAWS,
            key=int(own_key), group=LADDERS * LEVELS, progress=False,
        )  # fmt: skip
        last = result["posterior"].isel(draw=-1)
        # The true values come first.
        own = {"x": x, "noise": noise}
        x, noise = (np.append(own[name], np.asarray(last[name])) for name in own)
        found.append(measure_square(x, noise, y))
        divergent[index] = int(np.asarray(result["sample_stats"]["diverging"]).sum())
    numbers = {name: np.stack([own[name] for own in found]) for name in found[0]}
    ranks = {name: (a[:, 1:] < a[:, :1]).sum(1) for name, a in numbers.items()}
    truths = {name: a[:, 0] for name, a in numbers.items()}
    return Calibration(_tabulate(ranks), _tabulate(truths), LADDERS, DRAWS, ALARM, divergent)


def _tabulate(numbers: dict[str, np.ndarray]) -> xarray.Dataset:
    return xarray.Dataset({name: (SIMULATION, own) for name, own in numbers.items()})


def measure_square(x: np.ndarray, noise: np.ndarray, y: float) -> dict[str, np.ndarray]:
    """Compute what is ranked: values, and log densities of prior and data."""
    normal, log_normal = scipy.stats.norm, scipy.stats.lognorm
    prior = normal.logpdf(x, 0.3, 1) + log_normal.logpdf(noise, 0.5, scale=np.exp(-1))
    likelihood = normal.logpdf(y, x**2, noise)
    return {"x": x, "noise": noise, "log_prior": prior, "log_likelihood": likelihood}


def rows(share: float, key: int) -> Iterator[str]:
    """Write a line of the table for each case."""
    for name, (model, engine, number) in CASES.items():
        number = max(round(share * number), 1)
        found = infer.calibrate(
            model, engine, simulations=number, false_alarm=ALARM, key=key, progress=False
        )
        yield describe(name, found)
    for name, settings in TEMPERED.items():
        number = max(round(share * TEMPERED_SETS), 1)
        yield describe(name, calibrate_tempered(settings, number, key))


def describe(name: str, found: Calibration) -> str:
    """Write a calibration as a line of the table."""
    print(name, found, sep="\n", flush=True)
    shift = max(abs(line.shift) for line in found.lines)
    spreads = [line.spread for line in found.lines]
    divergent = found.diverging.sum() / (found.simulations * found.draws * found.thin)
    numbers = [found.simulations, found.draws, found.thin, len(found.lines)]
    numbers += [f"{found.p_value:.2g}"]
    numbers += [f"{shift:.1f}", f"{min(spreads):.2f} to {max(spreads):.2f}"]
    numbers += ["yes" if found.uniform else "NO", f"{divergent:.2%}"]
    return f"| {name} | {' | '.join(map(str, numbers))} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--key", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore", infer.SamplingWarning)
    head = (
        "| posterior | data sets | draws | thin | quantities | p | shift | spread | uniform "
        "| divergent |"
    )
    lines = [head, "| --- |" + " ---: |" * 9]
    for row in rows(options.share, options.key):
        lines.append(row)
        # The page has the rows that are done if this takes too long.
        page.write(RESULTS, "Simulation-based calibration", __doc__, lines)


if __name__ == "__main__":
    main()
