"""Run hard and well-behaved posteriors, and print their errors and what the verdict finds.

    python -m benchmarks.verdicts [--seeds 10] [--good-seeds 30]

Writes results/verdicts.md. Errors are the largest over all quantities of the difference of a mean
or of a 5 % quantile from that of 200,000 independent draws, in standard deviations (half the width
of the central 68 % interval). "Wrong" counts runs in which one of them exceeds 0.5, and "silent"
those among them whose verdict is empty. All runs are those of `infer.sample(model, key=seed)`:
NUTS, 4 chains of 1000 draws, in double precision. In posteriors marked * no chain has seen what it
misses, so that nothing in the draws can show it.
"""

import argparse
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import infer
from benchmarks import page
from benchmarks.hard_posteriors import GOOD, HARD, Error, Hard, measure_error, read_draws

TOLERATED = 0.5
# The mean of a Cauchy distribution does not exist.
WITHOUT_MEAN = {"Cauchy"}


class Judged(NamedTuple):
    """One run: its errors, and the kinds of its findings."""

    error: Error
    kinds: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        return max(self.error) > TOLERATED


def judge(name: str, hard: Hard, seeds: int) -> list[Judged]:
    """Run a hard posterior with several seeds."""
    reference, model, judged = hard.reference(), hard.model(), []
    for seed in range(seeds):
        data = infer.sample(model, key=seed, progress=False)
        error = measure_error(read_draws(data, reference), reference, name not in WITHOUT_MEAN)
        kinds = tuple(dict.fromkeys(f.kind for f in infer.verdict(data).findings))
        judged.append(Judged(error, kinds))
    return judged


def describe(name: str, hard: Hard, judged: list[Judged]) -> str:
    means, lows = (np.array([getattr(one.error, e) for one in judged]) for e in ("mean", "low"))
    wrong = [one for one in judged if one.is_wrong]
    silent = sum(not one.kinds for one in wrong)
    counts = Counter(kind for one in judged for kind in one.kinds)
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.most_common())
    mean = "none" if name in WITHOUT_MEAN else f"{np.median(means):.2f} ({means.max():.2f})"
    return (
        f"| {name}{'*' * hard.hidden} | {mean} | {np.median(lows):.2f} ({lows.max():.2f}) "
        f"| {len(wrong)} | {silent} | {kinds or 'none'} |"
    )


def list_hard(seeds: int) -> list[str]:
    lines = [
        f"## Hard posteriors, {seeds} seeds each\n",
        "| posterior | error of the mean, median (largest) | of the 5 % quantile | wrong | silent "
        "| findings, with the number of runs |",
        "| --- | --- | --- | --: | --: | --- |",
    ]
    for name, hard in HARD.items():
        lines.append(describe(name, hard, judge(name, hard, seeds)))
        print(lines[-1], flush=True)
    return [*lines, ""]


def list_good(seeds: int) -> list[str]:
    lines = [
        f"## False alarms on well-behaved posteriors, {seeds} seeds each\n",
        "| posterior | runs with a finding | findings |",
        "| --- | --: | --- |",
    ]
    total = 0
    for name, make in GOOD.items():
        model, found = make(), []
        for seed in range(seeds):
            data = infer.sample(model, key=seed, progress=False)
            found.append({finding.kind for finding in infer.verdict(data).findings})
        alarms = sum(map(bool, found))
        total += alarms
        kinds = ", ".join(sorted(set().union(*found))) or "none"
        lines.append(f"| {name} | {alarms} | {kinds} |")
        print(lines[-1], flush=True)
    runs = seeds * len(GOOD)
    # Clopper & Pearson's bound for no alarm at all is 1 - 0.05^(1 / runs).
    bound = f" (95 % bound {1 - 0.05 ** (1 / runs):.1%})" if not total else ""
    return [*lines, "", f"False alarms in all: {total} of {runs} runs{bound}."]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--good-seeds", type=int, default=30)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", infer.SamplingWarning)
    lines = [*list_hard(asked.seeds), *list_good(asked.good_seeds)]
    file = Path(__file__).parent / "results" / "verdicts.md"
    page.write(file, "What the verdict finds", __doc__, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
