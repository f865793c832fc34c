"""Compare metrics on log densities without declared structure, in effective draws per gradient.

    python -m benchmarks.hierarchical [--seeds 2] [--first 1] [--draws 1000] [--model funnel ...]
        [--metric auto ...]

Every model is an `infer.declared` log density, written centered where it is hierarchical, but for
the horseshoe of the peers, which is that of `benchmarks.peers`, written non-centered. It is sampled
by NUTS (4 chains of 1000 draws, float64) with either metric, and with "auto", the default, which
chooses. Prints the median over the seeds of the smallest bulk ESS per 1000 gradients, warm-up
included; the smallest ESS, the most gradients, the largest R-hat and the divergent draws of all
seeds; how many seeds reach an R-hat below 1.01 and an ESS of 400; for the funnel its tails. Single
seeds go to stderr.
"""

import argparse
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import arviz as az
import jax
import jax.numpy as jnp
import numpy as np

import infer
from bijectors import Positive, Real
from infer.numerics.hierarchical import MetricName

from .funnel import TAIL
from .peers.suite import SUITE

jax.config.update("jax_enable_x64", True)
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])


def normal(x: Any, mean: Any, sd: Any) -> Any:
    return -0.5 * ((x - mean) / sd) ** 2 - jnp.log(sd) + 0 * x


def funnel() -> infer.Model:
    def log_density(q):
        return normal(q["v"], 0.0, 3.0) + normal(q["z"], 0.0, jnp.exp(q["v"] / 2)).sum()

    return infer.declared(log_density, {"v": Real(), "z": Real(shape=(9,))})


def schools(errors: float) -> infer.Model:
    def log_density(q, data):
        effect, error = data
        prior = normal(q["mu"], 0.0, 5.0) - jnp.log1p((q["tau"] / 5) ** 2)
        prior += normal(q["theta"], q["mu"], q["tau"]).sum()
        return prior + normal(effect, q["theta"], error).sum()

    sites = {"mu": Real(), "tau": Positive(), "theta": Real(shape=(8,))}
    return infer.declared(log_density, sites, data=(EFFECT, errors * ERROR))


def radon() -> infer.Model:
    """Forty counties with 1 to 60 houses each."""
    rng = np.random.default_rng(0)
    county = np.repeat(np.arange(40), np.geomspace(1, 60, 40).astype(int))
    floor = (rng.random(len(county)) < 0.2).astype(float)
    level = rng.normal(1.4, 0.3, 40)
    y = level[county] - 0.7 * floor + 0.75 * rng.normal(size=len(county))

    def log_density(q, data):
        county, floor, y = data
        prior = normal(q["mean"], 0.0, 5.0) - 0.5 * q["spread"] ** 2 - 0.5 * q["noise"] ** 2
        prior += normal(q["slope"], 0.0, 2.0) + normal(q["level"], q["mean"], q["spread"]).sum()
        return prior + normal(y, q["level"][county] + q["slope"] * floor, q["noise"]).sum()

    sites = {name: Real() for name in ("mean", "slope")}
    sites |= {"spread": Positive(), "noise": Positive(), "level": Real(shape=(40,))}
    return infer.declared(log_density, sites, data=(county, floor, y))


def nested() -> infer.Model:
    """Three levels: 24 effects around those of 6 regions, which are around a mean."""
    rng, region = np.random.default_rng(3), np.repeat(np.arange(6), 4)
    y = rng.normal(size=6)[region] + 0.6 * rng.normal(size=24)

    def log_density(q, data):
        region, y = data
        prior = normal(q["mean"], 0.0, 3.0) - 0.5 * q["wide"] ** 2 - 0.5 * q["narrow"] ** 2
        prior += normal(q["level"], q["mean"], q["wide"]).sum()
        prior += normal(q["effect"], q["level"][region], q["narrow"]).sum()
        return prior + normal(y, q["effect"], 0.5).sum()

    sites = {"mean": Real(), "wide": Positive(), "narrow": Positive()}
    sites |= {"level": Real(shape=(6,)), "effect": Real(shape=(24,))}
    return infer.declared(log_density, sites, data=(region, y))


def horseshoe() -> infer.Model:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(30, 20))
    y = x[:, :3] @ np.array([3.0, -2.0, 1.5]) + rng.normal(size=30)

    def log_density(q, data):
        x, y = data
        prior = -jnp.log1p(q["tau"] ** 2) - jnp.log1p(q["lam"] ** 2).sum() - 0.5 * q["noise"] ** 2
        prior += normal(q["slope"], 0.0, q["tau"] * q["lam"]).sum()
        return prior + normal(y, x @ q["slope"], q["noise"]).sum()

    sites = {"tau": Positive(), "noise": Positive()}
    sites |= {"lam": Positive(shape=(20,)), "slope": Real(shape=(20,))}
    return infer.declared(log_density, sites, data=(x, y))


def horseshoe_of_peers() -> infer.Model:
    case = SUITE["horseshoe"]
    return infer.from_numpyro(case.numpyro, **case.data())


def correlated() -> infer.Model:
    factor = np.random.default_rng(1).normal(size=(50, 50))
    precision = np.linalg.inv(factor @ factor.T / 50 + 0.1 * np.eye(50))
    density = lambda q, data: -0.5 * q["x"] @ data @ q["x"]  # noqa: E731
    return infer.declared(density, {"x": Real(shape=(50,))}, data=precision)


def logistic() -> infer.Model:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 10))
    y = (rng.random(200) < 1 / (1 + np.exp(-x @ rng.normal(size=10)))).astype(float)

    def log_density(q, data):
        x, y = data
        odds = x @ q["slope"]
        return normal(q["slope"], 0.0, 2.0).sum() + (y * odds - jnp.logaddexp(0.0, odds)).sum()

    return infer.declared(log_density, {"slope": Real(shape=(10,))}, data=(x, y))


MODELS: dict[str, Callable[[], infer.Model]] = {
    "funnel": funnel,
    **{f"eight schools, errors x {k}": partial(schools, k) for k in (0.3, 1.0, 5.0)},
    "radon-like": radon,
    "three levels": nested,
    "horseshoe": horseshoe,
    "horseshoe of the peers": horseshoe_of_peers,
    "correlated normal": correlated,
    "logistic": logistic,
}
METRICS: tuple[MetricName, ...] = ("euclidean", "hierarchical", "auto")
# A run that reaches both is good.
MIN_ESS, MAX_RHAT = 400, 1.01


def measure(
    model: infer.Model, engine: infer.Engine, seed: int, draws: int = 1000
) -> tuple[float, int, float, int, list]:
    """Return the smallest ESS, gradients, the largest R-hat, divergences and tails of one run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = infer.sample(model, engine, draws=draws, key=seed, progress=False)
        ess: Any = az.ess(result)
        rhat: Any = az.rhat(result)
    stats, v = result["sample_stats"], result["posterior"].get("v")
    tails = [] if v is None else [round(float(t.mean()) / TAIL, 2) for t in (v < -6, v > 6)]
    return (
        min(float(a.min()) for a in ess.data_vars.values()),
        int(stats["n_steps"].sum()) + result.attrs["warmup_gradients"],
        max(float(a.max()) for a in rhat.data_vars.values()),
        int(stats["diverging"].sum()),
        tails,
    )


def report(name: str, metrics: Sequence[MetricName], seeds: range, draws: int) -> None:
    for metric in metrics:
        model, engine, rows = MODELS[name](), infer.NUTS(metric=metric), []
        for seed in seeds:
            rows.append(measure(model, engine, seed, draws))
            print(name, metric, seed, *rows[-1], file=sys.stderr, flush=True)
        ess, gradients, rhat, diverging, tails = zip(*rows, strict=True)
        rate = statistics.median(1000 * e / g for e, g in zip(ess, gradients, strict=True))
        good = sum(e >= MIN_ESS and r < MAX_RHAT for e, r in zip(ess, rhat, strict=True))
        print(
            f"| {name} | {metric} | {rate:.1f} | {min(ess):.0f} | {max(gradients):,} | "
            f"{max(rhat):.3f} | {sum(diverging)} | {good} of {len(seeds)} | "
            f"{list(tails) if tails[0] else ''} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--draws", type=int, default=1000, help="draws per chain")
    parser.add_argument("--metric", nargs="*", choices=METRICS, default=METRICS)
    parser.add_argument("--model", nargs="*", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    print("| model | metric | ESS per 1000 gradients | ESS | gradients | R-hat |", end=" ")
    print("divergent | good | tails |")
    print("| --- " * 9 + "|")
    seeds = range(options.first, options.first + options.seeds)
    for name in options.model:
        report(name, options.metric, seeds, options.draws)


if __name__ == "__main__":
    main()
