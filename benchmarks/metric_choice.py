"""What the choice of a metric sees in warm-up, from which its thresholds are set.

    python -m benchmarks.metric_choice [--seeds 8] [--model funnel ...]

Warms up NUTS at defaults (4 chains, float64) on the log densities of `benchmarks.hierarchical`. In
the window at whose end the kind of metric is chosen, prints for each model the smallest and largest
value over the seeds of: the smallest ESS as a share of the draws; the drift of the mean log density
between the halves, in standard deviations; and the largest gain, in nats of log J, of one link of
scales in both halves. Then in how many of the windows the metric was to vary; the ratio of
effective draws per gradient, of the repeated window to the one before; and how many kept it. A
window with fewer than 100 draws for each chain is not judged.
"""

import argparse
from typing import Any

import numpy as np

import infer
from infer.numerics import metric_choice
from infer.numerics.agreement import join_chains
from infer.numerics.learn_dependence import measure_link_gains
from infer.numerics.mixing import estimate_ess

from .hierarchical import MODELS


def smallest_ess(draws: np.ndarray) -> float:
    """Estimate the effective draws of the slowest coordinate, of shape (chains, draws, size)."""
    return float(np.nan_to_num(estimate_ess(draws.transpose(2, 0, 1).astype(np.float64))).min())


def describe(draws: np.ndarray, scores: np.ndarray, levels: np.ndarray) -> tuple[float, ...]:
    """Return share of effective draws, drift, and gain of a link in a window."""
    count = draws.shape[1]
    first, second = levels[:, count % 2 :][:, : count // 2], levels[:, -(count // 2) :]
    drift = abs(second.mean() - first.mean()) / np.sqrt(second.var(1).mean())
    halves = slice(count // 2), slice(count // 2, None)
    gains = [measure_link_gains(*(join_chains(a[:, h]) for a in (draws, scores))) for h in halves]
    return smallest_ess(draws) / draws[..., 0].size, float(drift), float(np.minimum(*gains).max())


class Watched:
    """Notes what the two decisions of `infer.numerics.metric_choice` are given and answer.

    Attributes:
        windows: What is known of each window that was judged, and whether the metric was to vary.
        ratios: Effective draws per gradient of each repeated window, relative to those before it,
            and whether the metric was kept.
    """

    def __init__(self) -> None:
        self.windows: list[tuple[tuple[float, ...], bool]] = []
        self.ratios: list[tuple[float, bool]] = []
        self._needs = metric_choice.needs_hierarchical_metric
        self._pays = metric_choice.is_more_efficient

    def needs(self, draws: np.ndarray, scores: np.ndarray, levels: np.ndarray) -> bool:
        varies = self._needs(draws, scores, levels)
        if draws.shape[1] >= metric_choice.MIN_DRAWS:
            self.windows.append((describe(draws, scores, levels), varies))
        return varies

    def pays(self, *windows: Any) -> bool:
        before, steps_before, draws, steps = windows
        kept = self._pays(*windows)
        rates = smallest_ess(draws) / steps.sum(), smallest_ess(before) / steps_before.sum()
        self.ratios.append((rates[0] / rates[1], kept))
        return kept


def span(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if values else ""


def report(name: str, seeds: int) -> None:
    watched, model = Watched(), MODELS[name]()
    metric_choice.needs_hierarchical_metric = watched.needs
    metric_choice.is_more_efficient = watched.pays
    try:
        for seed in range(seeds):
            infer.start(model, key=seed, progress=False).warm_up()
    finally:
        metric_choice.needs_hierarchical_metric = watched._needs
        metric_choice.is_more_efficient = watched._pays
    seen = [span([own[0][i] for own in watched.windows]) for i in range(3)]
    varied, kept = sum(own[1] for own in watched.windows), sum(own[1] for own in watched.ratios)
    ratios = span([own[0] for own in watched.ratios])
    print(
        f"| {name} | {len(watched.windows)} | {' | '.join(seen)} | {varied} | {ratios} | {kept} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n")[0])
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--model", nargs="*", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    print("| model | windows | ESS / draws | drift | gain, nats | varied | ratio | kept |")
    print("| --- " * 8 + "|")
    for name in options.model:
        report(name, options.seeds)


if __name__ == "__main__":
    main()
