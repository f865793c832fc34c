"""Compare the maps of sets that have several by effective draws per gradient.

    python -m benchmarks.maps [--seeds 4] [--only NAME ...]

Writes results/maps.md. Each target is sampled by NUTS at defaults (4 chains of 1000 draws) with
each map, in double and in single precision, each in a process of its own: priors of several
strengths, targets that data determine, and some near a face of the set. A cell has the median over
the seeds of the smallest bulk ESS per 1000 gradients, warm-up included; in parentheses are the
divergent draws of all seeds, and the largest R-hat if it is 1.01 or more. All starts are the
default ones, and none failed. The first map is the default. Maps of correlations are compared in
[correlations.md](correlations.md); intervals, ordered vectors and unit vectors have one map each.

The exponential makes at worst about a quarter of the effective draws of softplus. But softplus
needs values near 1: with a scale of 100, or a heavy tail, it takes 35 to 90 times as many gradients
for an effective draw. So the exponential is the default, and `bijector="softplus"` pays for a scale
whose posterior reaches 0. On simplices the three maps agree within a factor of 1.2, except that
stick-breaking makes up to 1.5 times as many effective draws near faces. The isometric log-ratio,
which treats all categories alike, is the default.
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
import numpy as np
import numpyro.distributions as dist

sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks import page
from benchmarks.quality import measure_quality

RESULTS = Path(__file__).parent / "results" / "maps.md"
POSITIVE = ("exp", "softplus")
SIMPLEX = ("ilr", "alr", "stick_breaking")
CATEGORIES = 10

Declare = Callable[[Any, str], Any]


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
TARGETS: dict[str, tuple[tuple[str, ...], Declare]] = {
    "positive: HalfNormal(1)": (POSITIVE, alone(lambda: dist.HalfNormal(1.0), (5,))),
    "positive: HalfCauchy(1)": (POSITIVE, alone(lambda: dist.HalfCauchy(1.0), (5,))),
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
    "simplex: 10 counts of the first": (SIMPLEX, shares(np.eye(CATEGORIES)[0] * 10)),
    "simplex: 10 counts of the last": (SIMPLEX, shares(np.eye(CATEGORIES)[-1] * 10)),
    "simplex: 10,000 counts, alike": (SIMPLEX, shares(np.full(CATEGORIES, 1000.0))),
    "simplex: 10,000 counts, halved 9 times": (SIMPLEX, shares(HALVED)),
    "simplex: 10,000 counts, doubled 9 times": (SIMPLEX, shares(HALVED[::-1])),
}


def measure(declare: Declare, bijector: str, seed: int) -> tuple[float, float, int]:
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


def cell(declare: Declare, bijector: str, seeds: int) -> str:
    runs = [measure(declare, bijector, seed) for seed in range(seeds)]
    rates, rhats, divergent = zip(*runs, strict=True)
    notes = [str(sum(divergent))] + [f"R-hat {max(rhats):.3f}"] * (max(rhats) >= 1.01)
    return f"{statistics.median(rates):.0f} ({'; '.join(notes)})"


def rows(names: list[str], seeds: int, precision: str) -> Iterator[str]:
    """Write a line of the table for each target."""
    for name in names:
        maps, declare = TARGETS[name]
        cells = [cell(declare, bijector, seeds) for bijector in maps]
        cells += [""] * (len(SIMPLEX) - len(maps))
        yield f"| {name} | {precision} | {' | '.join(cells)} |"


def rows_of_both(names: list[str], seeds: int) -> Iterator[str]:
    """Take each precision in a process of its own."""
    for name in names:
        for precision in ("float64", "float32"):
            command = [sys.executable, "-m", "benchmarks.maps", "--precision", precision]
            command += ["--seeds", str(seeds), "--only", name]
            yield subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True
            ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--only", nargs="*", default=list(TARGETS), choices=list(TARGETS))
    parser.add_argument("--precision", choices=("float64", "float32"))
    given = parser.parse_args()
    if given.precision:
        jax.config.update("jax_enable_x64", given.precision == "float64")
        for row in rows(given.only, given.seeds, given.precision):
            print(row, flush=True)
        return
    titles = (" or ".join(pair) for pair in zip(POSITIVE, SIMPLEX, strict=False))
    lines = [f"| target | precision | {' | '.join([*titles, SIMPLEX[-1]])} |", "| --- | --- |"]
    lines[-1] += " ---: |" * len(SIMPLEX)
    for row in rows_of_both(given.only, given.seeds):
        print(row, flush=True)
        lines.append(row)
        page.write(RESULTS, "Maps onto positive numbers and simplices", __doc__, lines)


if __name__ == "__main__":
    main()
