"""Compare ours with ours of an earlier commit on the nine models, in turn.

    git worktree add EARLIER COMMIT
    python -m benchmarks.peers.earlier EARLIER [--repeats 3] [--models radon ...] [--until-good]

Each run is a process of its own, as those of `python -m benchmarks.peers`, in the tree of EARLIER
or in this one, with nothing compiled before. Prints, for each model, the ratio of the medians,
earlier to now, of seconds to an ESS of 1000 from a cold start, of seconds of a warm run, and of
gradients for each effective draw; above 1 is now ahead.

The first of these seconds are extrapolated from the ESS of 1000 draws, which means little if their
R-hat is large. With `--until-good` nothing is extrapolated: each run is made again with twice as
many draws until its R-hat is below 1.01 and its ESS at least 400 (`until_good.py`), and the medians
are those of the cold seconds of the first run that is good, and of its draws.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .suite import SUITE

HERE = Path(__file__).parents[2]
# Compiling is part of what is measured; imports are not.
OWN = {"PUSHFORWARD_CACHE": "0", "EAGER_IMPORT": "1", "JAX_ENABLE_COMPILATION_CACHE": "false"}
COLUMNS = ("cold to 1000", "warm", "gradients for a draw")


def run(tree: Path, name: str, seed: int) -> dict[str, float]:
    """Run ours once on one model, with the code of a tree."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers", "--one", "ours"]
    done = subprocess.run(
        [*command, name, str(seed)], capture_output=True, text=True, cwd=tree, check=True,
        env=os.environ | OWN | {"PYTHONPATH": str(tree)},
    )  # fmt: skip
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return found | {"gradients for a draw": (found["sampled"] + found["warmed"]) / found["ess"]}


def run_until_good(tree: Path, name: str, seed: int) -> dict[str, float]:
    """Run ours on one model, with the code of a tree, until the draws are good."""
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("until_good.py"), name, str(seed)],
        capture_output=True, text=True, cwd=tree, check=True,
        env=os.environ | OWN | {"PYTHONPATH": str(tree)},
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def compare(
    call: Callable[[Path, str, int], dict[str, float]], earlier: Path, name: str, repeats: int
) -> list[dict[str, float]]:
    """Call for the earlier tree and this one in turn; return the medians of both."""
    trees = earlier, HERE
    runs: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
    for seed in range(repeats):
        for tree in trees if seed % 2 == 0 else trees[::-1]:
            runs[tree].append(call(tree, name, seed))
    return [
        {column: statistics.median(own[column] for own in runs[tree]) for column in runs[HERE][0]}
        for tree in trees
    ]


def print_good(given: argparse.Namespace) -> None:
    print("| model | earlier, s | draws | now, s | draws | earlier / now |")
    print("| --- |" + " ---: |" * 5)
    ratios: list[float] = []
    for name in given.models:
        both = compare(run_until_good, given.earlier.resolve(), name, given.repeats)
        ratios.append(both[0]["seconds"] / both[1]["seconds"])
        cells = [f"{own['seconds']:.2f} | {own['draws']:g}" for own in both]
        print(f"| {name} | {' | '.join(cells)} | {ratios[-1]:.2f} |", flush=True)
    print(f"| geometric mean | | | | | {statistics.geometric_mean(ratios):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(SUITE))
    parser.add_argument("--until-good", action="store_true")
    given = parser.parse_args()
    if given.until_good:
        print_good(given)
        return
    print("| model | cold, s | earlier / now | warm, s | earlier / now | gradients | R-hat |")
    print("| --- |" + " ---: |" * 6)
    ratios: list[list[float]] = []
    for name in given.models:
        before, now = compare(run, given.earlier.resolve(), name, given.repeats)
        ratios.append([before[column] / now[column] for column in COLUMNS])
        cold, warm, gradients = ratios[-1]
        cells = [f"{now['cold to 1000']:.2f}", f"{cold:.2f}", f"{now['warm']:.3f}", f"{warm:.2f}"]
        cells += [f"{gradients:.2f}", f"{now['rhat']:.3f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    cold, warm, gradients = map(statistics.geometric_mean, zip(*ratios, strict=True))
    print(f"| geometric mean | | {cold:.2f} | | {warm:.2f} | {gradients:.2f} | |")


if __name__ == "__main__":
    main()
