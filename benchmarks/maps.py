"""Compare the maps of sets that have several by effective draws per gradient.

    python -m benchmarks.maps [--seeds 4] [--only NAME ...]

Writes results/maps.md. Each target is sampled by NUTS at defaults (4 chains of 1000 draws) with
each map, in double and in single precision, each in a process of its own: priors of several
strengths, targets that data determine, and some near a face of the set. A cell has the median over
the seeds of the smallest bulk ESS per 1000 gradients, warm-up included; in parentheses are the
divergent draws of all seeds, and the largest R-hat if it is 1.01 or more. All starts are the
default ones, and none failed. The first map is the default. Maps of correlations are compared in
[correlations.md](correlations.md); intervals, ordered vectors and unit vectors have one map each.

The exponential is the default for positive numbers. At worst it makes about a quarter of the
effective draws of softplus. But softplus needs values near 1: with a scale of 100, or a heavy tail,
it takes 35 times as many gradients for an effective draw, or more. "softplus^4" is softplus(y /
4)^4, which grows like exp(y) below zero and like y^4 far above. It is better than the exponential
for light tails, by up to 3.4 times, but makes 0.2 to 0.6 of its effective draws for tails that are
heavy beyond 1, and what it makes depends on the unit. So the exponential stays the default, and
`bijector="softplus"` pays for a scale whose posterior reaches 0.

On simplices stick-breaking makes up to 1.5 times as many effective draws per gradient near faces,
and 0.9 to 1.2 times as many elsewhere. The second table says what that costs: the time of a
gradient, for counts of k categories; the smallest share in 20 starts; and the largest error of y
after a round trip of these. A gradient by stick-breaking takes 1.4 to 4 times as long for up to 100
categories, and up to 30 times for 10,000, and its starts are farther from uniform. So the isometric
log-ratio is the default. It treats all categories alike, and an exchange of two of them is linear
in its coordinates, by which the verdict finds label switching. For few categories near faces, under
a likelihood that takes longer than the map, `bijector="stick_breaking"` pays.
"""

import argparse
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

sys.path.insert(0, str(Path(__file__).parents[1]))

import bijectors
import infer
from benchmarks import page, simplex_costs
from benchmarks.quality import measure_quality
from bijectors.base import Elementwise, Image, bijection
from bijectors.elementary import inverse_softplus, log_softplus, softplus

RESULTS = Path(__file__).parent / "results" / "maps.md"
CATEGORIES = 10
PRECISIONS = ("float64", "float32")

Map = str | bijectors.Bijector
Declare = Callable[[Any, Map], Any]


class SoftplusPower(Elementwise):
    """x = softplus(y / k)^k with k = 4."""

    def image(self, y: Float[Array, ""]) -> Image:
        log_root = log_softplus(y / 4)
        return bijection(jnp.exp(4 * log_root), 3 * log_root - softplus(-y / 4), log=4 * log_root)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return 4 * inverse_softplus(x**0.25)


POSITIVE: dict[str, Map] = {"exp": "exp", "softplus": "softplus", "softplus^4": SoftplusPower()}
SIMPLEX: dict[str, Map] = {name: name for name in ("ilr", "alr", "stick_breaking")}


def alone(make: Callable[[], Any], shape: tuple[int, ...] = ()) -> Declare:
    """Declare a site that has its prior alone."""
    return lambda site, bijector: site("x", make(), shape=shape, bijector=bijector)


def deviation(rows: int) -> Declare:
    """Declare a standard deviation under a wide prior, and normal rows."""
    y = np.random.default_rng(0).normal(size=rows)

    def declare(site, bijector):
        x = site("x", dist.HalfCauchy(5.0), bijector=bijector)
        site.observe("y", dist.Normal(0.0, x), y)

    return declare


def rate(events: int) -> Declare:
    """Declare a rate at which this number of events was observed in ten hours."""

    def declare(site, bijector):
        x = site("x", dist.Gamma(0.5, 0.1), bijector=bijector)
        site.observe("y", dist.Poisson(10 * x), events)

    return declare


def shares(counts: np.ndarray) -> Declare:
    """Declare shares under a uniform prior, and counts of the categories."""

    def declare(site, bijector):
        x = site("x", dist.Dirichlet(np.ones(CATEGORIES)), bijector=bijector)
        site.observe("y", dist.Multinomial(int(counts.sum()), x), counts)

    return declare


def dirichlet(concentration: float, categories: int = CATEGORIES) -> Declare:
    return alone(lambda: dist.Dirichlet(concentration * np.ones(categories)))


HALVED = np.round(1e4 * 0.5 ** np.minimum(np.arange(1, CATEGORIES + 1), 9))


# By name, each with the maps of its set.
TARGETS: dict[str, tuple[dict[str, Map], Declare]] = {
    "positive: HalfNormal(1)": (POSITIVE, alone(lambda: dist.HalfNormal(1.0), (5,))),
    "positive: HalfCauchy(1)": (POSITIVE, alone(lambda: dist.HalfCauchy(1.0), (5,))),
    "positive: HalfCauchy(100)": (POSITIVE, alone(lambda: dist.HalfCauchy(100.0), (5,))),
    "positive: InverseGamma(1, 1)": (POSITIVE, alone(lambda: dist.InverseGamma(1.0, 1.0), (5,))),
    "positive: LogNormal(0, 3)": (POSITIVE, alone(lambda: dist.LogNormal(0.0, 3.0), (5,))),
    "positive: Exponential(0.01)": (POSITIVE, alone(lambda: dist.Exponential(0.01), (5,))),
    "positive: Exponential(100)": (POSITIVE, alone(lambda: dist.Exponential(100.0), (5,))),
    "positive: Gamma(0.3, 1), near 0": (POSITIVE, alone(lambda: dist.Gamma(0.3, 1.0), (5,))),
    "positive: Gamma(50, 50)": (POSITIVE, alone(lambda: dist.Gamma(50.0, 50.0), (5,))),
    "positive: deviation of 4 rows": (POSITIVE, deviation(4)),
    "positive: deviation of 1000 rows": (POSITIVE, deviation(1000)),
    "positive: rate of no event, near 0": (POSITIVE, rate(0)),
    "positive: rate of 1000 events": (POSITIVE, rate(1000)),
    "simplex: Dirichlet(0.2), near faces": (SIMPLEX, dirichlet(0.2)),
    "simplex: Dirichlet(1)": (SIMPLEX, dirichlet(1.0)),
    "simplex: Dirichlet(30)": (SIMPLEX, dirichlet(30.0)),
    "simplex: Dirichlet(1), 100 categories": (SIMPLEX, dirichlet(1.0, 100)),
    "simplex: Dirichlet(1), 1000 categories": (SIMPLEX, dirichlet(1.0, 1000)),
    "simplex: 10 counts of the first": (SIMPLEX, shares(np.eye(CATEGORIES)[0] * 10)),
    "simplex: 10 counts of the last": (SIMPLEX, shares(np.eye(CATEGORIES)[-1] * 10)),
    "simplex: 10,000 counts, alike": (SIMPLEX, shares(np.full(CATEGORIES, 1000.0))),
    "simplex: 10,000 counts, halved 9 times": (SIMPLEX, shares(HALVED)),
    "simplex: 10,000 counts, doubled 9 times": (SIMPLEX, shares(HALVED[::-1])),
}


def measure(declare: Declare, bijector: Map, seed: int) -> tuple[float, float, int]:
    """Return the smallest ESS per 1000 gradients, the largest R-hat, and divergent draws."""
    model = infer.model(declare, bijector=infer.static(bijector))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", infer.SamplingWarning)
        data = infer.sample(model, infer.NUTS(), key=seed, progress=False)
    stats, draws = data["sample_stats"], np.asarray(data["posterior"]["x"], float)
    assert np.isfinite(draws).all()
    gradients = int(stats["n_steps"].sum()) + data.attrs["warmup_gradients"]
    ess, rhat = measure_quality(draws)
    return 1e3 * ess / gradients, rhat, int(stats["diverging"].sum())


def cell(declare: Declare, bijector: Map, seeds: int) -> str:
    runs = [measure(declare, bijector, seed) for seed in range(seeds)]
    rates, rhats, divergent = zip(*runs, strict=True)
    notes = [str(sum(divergent))] + [f"R-hat {max(rhats):.3f}"] * (max(rhats) >= 1.01)
    return f"{statistics.median(rates):.0f} ({'; '.join(notes)})"


def rows(names: list[str], seeds: int, precision: str) -> Iterator[str]:
    """Write a line of the table for each target."""
    for name in names:
        maps, declare = TARGETS[name]
        cells = [cell(declare, bijector, seeds) for bijector in maps.values()]
        yield f"| {name} | {precision} | {' | '.join(cells)} |"


def run_in_both(*command: str) -> Iterator[str]:
    """Yield the lines that a benchmark prints in each precision, in processes of their own."""
    for precision in PRECISIONS:
        full = [sys.executable, "-m", f"benchmarks.{command[0]}", "--precision", precision]
        done = subprocess.run([*full, *command[1:]], check=True, stdout=subprocess.PIPE, text=True)
        yield from done.stdout.strip().splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--only", nargs="*", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--precision", choices=PRECISIONS)
    given = parser.parse_args()
    if given.precision:
        jax.config.update("jax_enable_x64", given.precision == "float64")
        for row in rows(given.only, given.seeds, given.precision):
            print(row, flush=True)
        return
    titles = (" or ".join(pair) for pair in zip(POSITIVE, SIMPLEX, strict=True))
    lines = [f"| target | precision | {' | '.join(titles)} |", "| --- | --- | ---: | ---: | ---: |"]
    for name in given.only:
        for row in run_in_both("maps", "--seeds", str(given.seeds), "--only", name):
            print(row, flush=True)
            lines.append(row)
    lines += ["", *simplex_costs.HEAD, *run_in_both("simplex_costs")]
    page.write(RESULTS, "Maps onto positive numbers and simplices", __doc__, lines)


if __name__ == "__main__":
    main()
