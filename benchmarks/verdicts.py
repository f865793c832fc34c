"""Run hard and well-behaved posteriors, and print their errors and what the verdict finds.

    python -m benchmarks.verdicts [--first 1000] [--seeds 10] [--good-seeds 30] [--seconds 250]

Writes results/verdicts.md. The runs are those of `infer.sample(model, key=seed)`: NUTS, 4 chains of
1000 draws, in double precision, with seeds on which no limit was tuned. Errors are the largest over
all quantities of the difference of a mean or of a 5 % quantile from that of 200,000 independent
draws, in standard deviations (half the width of the central 68 % interval). A run is wrong if one
of them exceeds 0.5, and silent if its verdict is empty nonetheless; a right run is alarmed if its
verdict is not empty. In posteriors marked * no chain has seen what it misses, so that nothing in
the draws can show it.

Each run that ends is kept in results/verdicts.jsonl, so a call that stops after `--seconds` is
continued by the next one; delete that file to begin again.
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import infer
from benchmarks import page
from benchmarks.hard_posteriors import GOOD, HARD, measure_error, read_draws

RESULTS = Path(__file__).parent / "results"
KEPT = RESULTS / "verdicts.jsonl"
TOLERATED = 0.5
# The mean of a Cauchy distribution does not exist.
WITHOUT_MEAN = {"Cauchy"}


class Judged(NamedTuple):
    """One run: its errors, which are zero for a well-behaved posterior, and its findings.

    Attributes:
        name: Name of the posterior.
        seed: Seed of the run.
        mean: Error of the mean.
        low: Error of the 5 % quantile.
        kinds: Kinds of the findings.
    """

    name: str
    seed: int
    mean: float
    low: float
    kinds: tuple[str, ...]

    @property
    def is_wrong(self) -> bool:
        return max(self.mean, self.low) > TOLERATED


def judge(name: str, seeds: list[int]) -> Iterator[Judged]:
    """Run a posterior with several seeds."""
    hard = HARD.get(name)
    model = hard.model() if hard else GOOD[name]()
    reference = hard.reference() if hard else {}
    for seed in seeds:
        data = infer.sample(model, key=seed, progress=False)
        mean, low = 0.0, 0.0
        if hard:
            draws, has_mean = read_draws(data, reference), name not in WITHOUT_MEAN
            mean, low = map(float, measure_error(draws, reference, has_mean))
        kinds = tuple(dict.fromkeys(f.kind for f in infer.verdict(data).findings))
        yield Judged(name, seed, mean, low, kinds)


def read_kept() -> dict[tuple[str, int], Judged]:
    """Read the runs that earlier calls have made."""
    lines = KEPT.read_text().splitlines() if KEPT.exists() else []
    fields = map(json.loads, lines)
    runs = [Judged(name, seed, mean, low, tuple(kinds)) for name, seed, mean, low, kinds in fields]
    return {(run.name, run.seed): run for run in runs}


def make_missing(wanted: dict[str, range], seconds: float) -> bool:
    """Make the runs that are not kept yet; return whether all are there in time."""
    began = time.monotonic()
    for name, seeds in wanted.items():
        missing = [seed for seed in seeds if (name, seed) not in read_kept()]
        for run in judge(name, missing) if missing else ():
            with KEPT.open("a") as file:
                file.write(json.dumps(run) + "\n")
            print(*run, flush=True)
            if time.monotonic() - began > seconds:
                return False
    return True


def count_kinds(runs: list[Judged]) -> str:
    counts = Counter(kind for run in runs for kind in run.kinds)
    return ", ".join(f"{kind} {count}" for kind, count in counts.most_common()) or "none"


def describe(name: str, runs: list[Judged]) -> str:
    means, lows = np.array([run.mean for run in runs]), np.array([run.low for run in runs])
    wrong = [run for run in runs if run.is_wrong]
    right = [run for run in runs if not run.is_wrong]
    silent, alarmed = sum(not run.kinds for run in wrong), sum(bool(run.kinds) for run in right)
    mean = "none" if name in WITHOUT_MEAN else f"{np.median(means):.2f} ({means.max():.2f})"
    return (
        f"| {name}{'*' * HARD[name].hidden} | {mean} | {np.median(lows):.2f} ({lows.max():.2f}) "
        f"| {len(wrong)} | {silent} | {len(right)} | {alarmed} | {count_kinds(runs)} |"
    )


def list_hard(each: dict[str, list[Judged]], seeds: range) -> list[str]:
    runs = [run for name in HARD for run in each[name] if run.is_wrong and not HARD[name].hidden]
    silent = sum(not run.kinds for run in runs)
    return [
        f"## Hard posteriors, seeds {seeds.start} to {seeds.stop - 1}\n",
        "| posterior | error of the mean, median (largest) | of the 5 % quantile | wrong | silent "
        "| right | alarmed | findings, with the number of runs |",
        "| --- | --- | --- | --: | --: | --: | --: | --- |",
        *(describe(name, each[name]) for name in HARD),
        f"\nWithout those marked *: {silent} of {len(runs)} wrong runs are silent.\n",
    ]


def list_good(each: dict[str, list[Judged]], seeds: range) -> list[str]:
    alarms = {name: sum(bool(run.kinds) for run in each[name]) for name in GOOD}
    total, runs = sum(alarms.values()), len(seeds) * len(GOOD)
    # Clopper & Pearson's bound for no alarm at all is 1 - 0.05^(1 / runs).
    bound = f" (95 % bound {1 - 0.05 ** (1 / runs):.1%})" if not total else ""
    return [
        f"## False alarms on well-behaved posteriors, seeds {seeds.start} to {seeds.stop - 1}\n",
        "| posterior | runs with a finding | findings, with the number of runs |",
        "| --- | --: | --- |",
        *(f"| {name} | {count} | {count_kinds(each[name])} |" for name, count in alarms.items()),
        "",
        f"False alarms in all: {total} of {runs} runs{bound}.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--good-seeds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=np.inf)
    asked = parser.parse_args()
    warnings.simplefilter("ignore", infer.SamplingWarning)
    few, many = (range(asked.first, asked.first + n) for n in (asked.seeds, asked.good_seeds))
    wanted = {**dict.fromkeys(HARD, few), **dict.fromkeys(GOOD, many)}
    if not make_missing(wanted, asked.seconds):
        print("The time is over; call again to go on.")
        return 1
    kept: Any = read_kept()
    each = {name: [kept[name, seed] for seed in seeds] for name, seeds in wanted.items()}
    lines = [*list_hard(each, few), *list_good(each, many)]
    page.write(RESULTS / "verdicts.md", "What the verdict finds", __doc__, lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
