"""Compare criteria by which warm-up may choose how far each entry is centered.

    python -m benchmarks.centering_criteria [--seeds 3] [--model funnel ...]

The models of `benchmarks.geometry` are sampled by NUTS at defaults with learned centering, once
with each criterion in the place of J. For a coordinate y of degree c, and its score g:

    J = Var(y) Var(g)
    Fisher divergence from the nearest normal with its coordinates scaled: 2 (sqrt(J) + Cov(y, g))
    correlations = sum of the squared correlations of y and g with the location, and of their
        squared deviations with the log scale

J and the Fisher divergence are smallest for a normal; correlations vanish if nothing about y and g
depends on the parameters of the prior. Prints, for each model and criterion, the median over the
seeds of the smallest bulk ESS per 1000 gradients, warm-up included; in parentheses the divergent
draws of all seeds and the mean degree.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from unittest import mock

import numpy as np

from infer.numerics.centering import GRID, choose_degrees

from .geometry import MODELS, Measured, measure

# Takes y and g, the location and the log scale, each of shape (*members, rows, entries).
Criterion = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def correlate(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the squared correlations of rows; zero where one of them is constant."""
    a, b = a - a.mean(-2, keepdims=True), b - b.mean(-2, keepdims=True)
    scales = (a**2).sum(-2) * (b**2).sum(-2)
    return np.where(scales > 0, (a * b).sum(-2) ** 2 / np.where(scales > 0, scales, 1), 0.0)


def fisher_divergence(y: np.ndarray, g: np.ndarray, *_: np.ndarray) -> np.ndarray:
    covariance = ((y - y.mean(-2, keepdims=True)) * g).mean(-2)
    return np.sqrt(y.var(-2) * g.var(-2)) + covariance


def correlations(
    y: np.ndarray, g: np.ndarray, location: np.ndarray, log_scale: np.ndarray
) -> np.ndarray:
    deviations = [(a - a.mean(-2, keepdims=True)) ** 2 for a in (y, g)]
    of_locations = correlate(y, location) + correlate(g, location)
    return of_locations + correlate(deviations[0], log_scale) + correlate(deviations[1], log_scale)


def choose_by(criterion: Criterion) -> Callable[..., np.ndarray]:
    """Make a function that chooses as `choose_degrees` does, by another criterion."""

    def choose(
        y: np.ndarray,
        scores: np.ndarray,
        location: np.ndarray,
        log_scale: np.ndarray,
        degrees: np.ndarray,
        alike: Sequence[slice] = (),
    ) -> np.ndarray:
        old, values = degrees[..., None, :], []
        for c in GRID:
            growth = np.exp((c - old) * log_scale)
            moved = growth * (y - old * location) + c * location
            values.append(criterion(moved, scores / growth, location, log_scale))
        found = np.stack(values)
        for entries in alike:
            found[..., entries] = found[..., entries].mean(-1, keepdims=True)
        return GRID[np.where(np.isfinite(found), found, np.inf).argmin(0)].astype(degrees.dtype)

    return choose


CRITERIA = {
    "J": choose_degrees,
    "Fisher divergence": choose_by(fisher_divergence),
    "correlations": choose_by(correlations),
}


def measure_with(choose: Callable[..., np.ndarray], name: str, seed: int) -> Measured:
    with mock.patch("infer.run.recentering.choose_degrees", choose):
        return measure(MODELS[name]("auto"), seed)


def describe(runs: Sequence[Measured]) -> str:
    rate = statistics.median(1e3 * run.ess / run.gradients for run in runs)
    divergent, degree = sum(run.divergent for run in runs), np.mean([run.degree for run in runs])
    return f"{rate:.1f} ({divergent}; {degree:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--model", nargs="*", default=list(MODELS), choices=list(MODELS))
    given = parser.parse_args()
    print(f"| model | {' | '.join(CRITERIA)} |")
    print("| --- " * (1 + len(CRITERIA)) + "|")
    for name in given.model:
        runs = [[measure_with(c, name, s) for s in range(given.seeds)] for c in CRITERIA.values()]
        print(f"| {name} | {' | '.join(map(describe, runs))} |", flush=True)


if __name__ == "__main__":
    main()
