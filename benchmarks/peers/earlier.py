"""Compare ours with ours of an earlier commit on the nine models, in turn.

    git worktree add EARLIER COMMIT
    python -m benchmarks.peers.earlier EARLIER [--repeats 3] [--models radon ...]

Each run is a process of its own, as those of `python -m benchmarks.peers`, in the tree of EARLIER
or in this one, with nothing compiled before. Prints, for each model, the ratio of the medians,
earlier to now, of seconds to an ESS of 1000 from a cold start, of seconds of a warm run, and of
gradients for each effective draw; above 1 is now ahead.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="*", default=list(SUITE))
    given = parser.parse_args()
    trees = (given.earlier.resolve(), HERE)
    print("| model | cold, s | earlier / now | warm, s | earlier / now | gradients | R-hat |")
    print("| --- |" + " ---: |" * 6)
    ratios: list[list[float]] = []
    for name in given.models:
        runs: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
        for seed in range(given.repeats):
            for tree in trees if seed % 2 == 0 else trees[::-1]:
                runs[tree].append(run(tree, name, seed))
        medians = [
            {
                column: statistics.median(own[column] for own in runs[tree])
                for column in runs[HERE][0]
            }
            for tree in trees
        ]
        before, now = medians
        ratios.append([before[column] / now[column] for column in COLUMNS])
        cold, warm, gradients = ratios[-1]
        cells = [f"{now['cold to 1000']:.2f}", f"{cold:.2f}", f"{now['warm']:.3f}", f"{warm:.2f}"]
        cells += [f"{gradients:.2f}", f"{now['rhat']:.3f}"]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)
    means = [math.exp(statistics.fmean(map(math.log, own))) for own in zip(*ratios, strict=True)]
    print(f"| geometric mean | | {means[0]:.2f} | | {means[1]:.2f} | {means[2]:.2f} | |")


if __name__ == "__main__":
    main()
