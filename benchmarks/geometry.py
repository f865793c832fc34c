"""Compare learned with written centering, in effective draws per 1000 gradients.

    python -m benchmarks.geometry [--seeds 5] [--model funnel ...]

Every model is sampled by NUTS with a constant metric (4 chains of 1000 draws, float64), its
dependent sites centered, non-centered and learned. Gradients include those of warm-up. Prints, for
each model, the median over the seeds of the smallest bulk ESS per 1000 gradients, and in
parentheses the divergent draws of all seeds; for learned centering also its ratios to the better
and the worse of the other two, the smallest ESS and the largest R-hat of all seeds, and the mean
degree; for the funnel its tails.
"""

import argparse
import statistics
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

import infer

from .funnel import TAIL

jax.config.update("jax_enable_x64", True)
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
WAYS = {"centered": True, "non-centered": False, "learned": "auto"}


def funnel(way: Any) -> infer.Model:
    def declare(site):
        v = site("v", dist.Normal(0.0, 3.0))
        site("z", dist.Normal(0.0, jnp.exp(v / 2)), shape=(9,), centered=way)

    return infer.model(declare)


def schools(errors: float, way: Any) -> infer.Model:
    def declare(site, error, effect):
        mu = site("mu", dist.Normal(0.0, 5.0))
        tau = site("tau", dist.HalfCauchy(5.0))
        theta = site("theta", dist.Normal(mu, tau), shape=(8,), centered=way)
        site.observe("effect", dist.Normal(theta, error), effect)

    return infer.model(declare, error=errors * ERROR, effect=EFFECT)


def radon(way: Any) -> infer.Model:
    """Forty counties with 1 to 60 houses each."""
    rng = np.random.default_rng(0)
    county = np.repeat(np.arange(40), np.geomspace(1, 60, 40).astype(int))
    floor = (rng.random(len(county)) < 0.2).astype(float)
    level = rng.normal(1.4, 0.3, 40)
    y = level[county] - 0.7 * floor + 0.75 * rng.normal(size=len(county))

    def declare(site, county, floor, y):
        mean, spread = site("mean", dist.Normal(0, 5)), site("spread", dist.HalfNormal(1))
        level = site("level", dist.Normal(mean, spread), shape=(40,), centered=way)
        slope, noise = site("slope", dist.Normal(0, 2)), site("noise", dist.HalfNormal(1))
        site.observe("y", dist.Normal(level[county] + slope * floor, noise), y)

    return infer.model(declare, county=county, floor=floor, y=y)


def counts(way: Any) -> infer.Model:
    """Poisson counts of thirty sites in five years, with overdispersion by site."""
    rng = np.random.default_rng(1)
    y = rng.poisson(
        np.exp(1.0 + 0.6 * rng.normal(size=(30, 1)) + 0.1 * rng.normal(size=(1, 5))), (30, 5)
    )

    def declare(site, y):
        mean, spread = site("mean", dist.Normal(0, 3)), site("spread", dist.HalfNormal(1))
        years = site("years_spread", dist.HalfNormal(1))
        level = site("level", dist.Normal(mean, spread), shape=(30, 1), centered=way)
        year = site("year", dist.Normal(0, years), shape=(5,), centered=way)
        site.observe("y", dist.Poisson(jnp.exp(level + year)), y)

    return infer.model(declare, y=y)


def answers(way: Any) -> infer.Model:
    """Answers of sixty people to twelve questions: abilities, difficulties and slopes."""
    rng = np.random.default_rng(2)
    able, hard = rng.normal(size=(60, 1)), rng.normal(0.5, 1.2, 12)
    y = (rng.random((60, 12)) < 1 / (1 + np.exp(-(able - hard)))).astype(float)

    def declare(site, y):
        center, spread = site("center", dist.Normal(0, 2)), site("spread", dist.HalfNormal(2))
        width = site("width", dist.HalfNormal(1))
        able = site("able", dist.Normal(0.0, 1.0), shape=(60, 1))
        hard = site("hard", dist.Normal(center, spread), shape=(12,), centered=way)
        slope = site("slope", dist.LogNormal(0.0, width), shape=(12,), centered=way)
        site.observe("y", dist.Bernoulli(logits=slope * (able - hard)), y)

    return infer.model(declare, y=y)


def seeds(way: Any) -> infer.Model:
    """Seeds that germinated on twenty-one plates, with two factors, as those of Crowder (1978)."""
    rng = np.random.default_rng(6)
    kind, extract = np.repeat([0.0, 1.0], [11, 10]), np.arange(21) % 2.0
    total = rng.integers(4, 82, 21)
    odds = -0.5 + 0.1 * kind + 1.3 * extract - 0.8 * kind * extract + 0.3 * rng.normal(size=21)
    y = rng.binomial(total, 1 / (1 + np.exp(-odds)))

    def declare(site, kind, extract, total, y):
        slopes = site("slopes", dist.Normal(0, 3), shape=(4,))
        spread = site("spread", dist.HalfNormal(1))
        columns = jnp.stack([jnp.ones_like(kind), kind, extract, kind * extract], 1)
        odds = site("odds", dist.Normal(columns @ slopes, spread), shape=(21,), centered=way)
        site.observe("y", dist.Binomial(total, logits=odds), y)

    return infer.model(declare, kind=kind, extract=extract, total=total, y=y)


def surgical(way: Any) -> infer.Model:
    """Deaths after operations in twelve hospitals of 47 to 810 operations."""
    rng = np.random.default_rng(7)
    total = np.geomspace(47, 810, 12).astype(int)
    y = rng.binomial(total, 1 / (1 + np.exp(2.5 - 0.4 * rng.normal(size=12))))

    def declare(site, total, y):
        mean, spread = site("mean", dist.Normal(0, 3)), site("spread", dist.HalfNormal(1))
        odds = site("odds", dist.Normal(mean, spread), shape=(12,), centered=way)
        site.observe("y", dist.Binomial(total, logits=odds), y)

    return infer.model(declare, total=total, y=y)


def horseshoe(rows: int, slopes: Sequence[float], seed: int, way: Any) -> infer.Model:
    """Twenty columns, a few of which matter."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 20))
    y = x[:, : len(slopes)] @ np.array(slopes) + rng.normal(size=rows)

    def declare(site, x, y):
        tau = site("tau", dist.HalfCauchy(0.1))
        width = site("width", dist.HalfCauchy(1.0), shape=(20,))
        beta = site("beta", dist.Normal(0.0, tau * width), shape=(20,), centered=way)
        site.observe("y", dist.Normal(x @ beta, site("noise", dist.HalfNormal(2))), y)

    return infer.model(declare, x=x, y=y)


def series(error: float, way: Any) -> infer.Model:
    """An autoregression of a hundred steps, each of which is measured with this error."""
    rng, x = np.random.default_rng(4), np.zeros(101)
    for i in range(100):
        x[i + 1] = 0.9 * x[i] + 0.5 * rng.normal()

    def declare(site, y):
        persistence = site("persistence", dist.Uniform(0.0, 1.0))
        scale = site("scale", dist.HalfNormal(1.0))

        def step(site, x, given):
            x = site("x", dist.Normal(persistence * x, scale), centered=way)
            site.observe("y", dist.Normal(x, error), given)
            return x, None

        site.scan(step, 0.0, y)

    return infer.model(declare, y=x[1:] + error * rng.normal(size=100))


def volatility(way: Any) -> infer.Model:
    """Stochastic volatility of a hundred returns."""
    rng, h = np.random.default_rng(5), np.zeros(101)
    for i in range(100):
        h[i + 1] = 0.9 * h[i] + 0.3 * rng.normal()

    def declare(site, y):
        level = site("level", dist.Normal(0.0, 1.0))
        persistence = site("persistence", dist.Uniform(0.0, 1.0))
        scale = site("scale", dist.HalfNormal(0.5))

        def step(site, h, given):
            prior = dist.Normal(level + persistence * (h - level), scale)
            h = site("h", prior, centered=way)
            site.observe("y", dist.Normal(0.0, jnp.exp(h / 2)), given)
            return h, None

        site.scan(step, 0.0, y)

    return infer.model(declare, y=np.exp(h[1:] / 2) * rng.normal(size=100))


MODELS: dict[str, Callable[[Any], infer.Model]] = {
    "funnel": funnel,
    **{f"eight schools, errors x {k}": partial(schools, k) for k in (0.05, 0.3, 1.0, 5.0)},
    "radon-like": radon,
    "counts": counts,
    "seeds-like": seeds,
    "surgical-like": surgical,
    "item response": answers,
    "horseshoe": partial(horseshoe, 60, (2.0, -1.5, 1.0), 3),
    # That of `benchmarks.peers`, written centered.
    "horseshoe of the peers": partial(horseshoe, 100, (2.0,) * 4, 5),
    **{f"autoregression, errors of {k}": partial(series, k) for k in (0.1, 3.0)},
    "stochastic volatility": volatility,
}


class Measured(NamedTuple):
    """One run.

    Attributes:
        ess: Smallest bulk ESS.
        rhat: Largest R-hat.
        gradients: Gradients, warm-up included.
        divergent: Divergent draws.
        degree: Mean degree of centering.
        tails: Tails of the funnel, relative to the truth.
    """

    ess: float
    rhat: float
    gradients: int
    divergent: int
    degree: float
    tails: tuple[float, float]


def measure(model: infer.Model, seed: int) -> Measured:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        data = infer.sample(model, infer.NUTS(metric="euclidean"), key=seed, progress=False)
    stats, posterior = data["sample_stats"], data["posterior"]
    ess: Any = az.ess(posterior)
    rhat: Any = az.rhat(posterior)
    degrees = [c for n, c in stats.coords.items() if str(n).startswith("centering_")]
    v = np.asarray(posterior["v"]) if "v" in posterior else np.zeros(1)
    return Measured(
        min(float(np.min(ess[name])) for name in ess.data_vars),
        max(float(np.max(rhat[name])) for name in rhat.data_vars),
        int(stats["n_steps"].sum()) + data.attrs["warmup_gradients"],
        int(stats["diverging"].sum()),
        float(np.mean(np.concatenate([np.ravel(c) for c in degrees]))) if degrees else np.nan,
        (float((v < -6).mean()) / TAIL, float((v > 6).mean()) / TAIL),
    )


def row(name: str, seeds: Sequence[int]) -> str:
    each = {label: [measure(MODELS[name](way), s) for s in seeds] for label, way in WAYS.items()}
    cells = []
    for own in each.values():
        rate = statistics.median(1e3 * m.ess / m.gradients for m in own)
        cells.append(f"{rate:.1f} ({sum(m.divergent for m in own)})")
    rates = [float(cell.split(" ")[0]) for cell in cells]
    learned = each["learned"]
    cells += [f"{rates[2] / max(rates[:2]):.2f}", f"{rates[2] / min(rates[:2]):.1f}"]
    cells += [f"{min(m.ess for m in learned):.0f}", f"{max(m.rhat for m in learned):.3f}"]
    cells.append(f"{np.mean([m.degree for m in learned]):.2f}")
    if name == "funnel":
        ess, most = min(m.ess for m in learned), max(m.gradients for m in learned)
        tails = [np.round(m.tails, 2).tolist() for m in learned]
        print(f"funnel, learned: ESS {ess:.0f} or more, {most} gradients or fewer, tails {tails}")
    return " | ".join(["", name, *cells, ""]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--model", nargs="*", default=list(MODELS), choices=list(MODELS))
    given = parser.parse_args()
    print("| model | centered | non-centered | learned | learned / better |", end=" ")
    print("learned / worse | ESS | R-hat | mean degree |")
    print("| --- " * 9 + "|")
    for name in given.model:
        print(row(name, range(given.seeds)), flush=True)


if __name__ == "__main__":
    main()
