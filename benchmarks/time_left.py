"""Compare the time left that progress shows with the time that was left, in warm-up and sampling.

python benchmarks/time_left.py
"""

import sys
import time
import warnings
from pathlib import Path
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import infer
from benchmarks.until import models
from infer.run.progress import Progress


def record(model, seed):
    """Sample; return (phase, estimate, time that was left), one for each block with an estimate."""
    seen, update = [], Progress.update

    def noting(self, *arguments):
        going_on = update(self, *arguments)
        left = self.status.seconds_left()
        if left is not None:
            seen.append((self.status.phase, left, time.perf_counter()))
        return going_on

    with patch.object(Progress, "update", noting):
        run = infer.start(model, infer.NUTS(), key=seed, progress=False)
        run.advance(20_000 if run.density.size < 20 else 2000)
        end = time.perf_counter()
    return [(phase, left, end - at) for phase, left, at in seen]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    print("| model | phase | blocks | estimate / truth: 10 %, median, 90 % |")
    print("| --- | --- | --- | --- |")
    for name, model in models().items():
        record(model, 0)
        every = [row for seed in (1, 2, 3) for row in record(model, seed)]
        for phase in ("warm-up", "sampling"):
            # Nobody reads the time left in the last tenth of a second.
            own = [left / true for kind, left, true in every if kind == phase and true > 0.1]
            if own:
                low, middle, high = np.quantile(own, [0.1, 0.5, 0.9])
                print(f"| {name} | {phase} | {len(own)} | {low:.2f}, {middle:.2f}, {high:.2f} |")
