"""Measure how the cost of NUTS grows with the size of a model, and fit the exponents.

    python -m benchmarks.scaling [--quick] [--axes sites rows] [--limit 300]

Writes benchmarks/results/scaling.md. Each line is one process, without the cache of compiled
programs: two chains of NUTS with trees of at most 31 steps and 40 draws of warm-up. Times are CPU
seconds of all threads, since the machine may be busy. Columns: **compile** is all from a written
model to its first draw, starts included; **step** is one leapfrog step with all that NUTS does for
it; **floor** is one call of the bare `jax.jit(jax.value_and_grad(log_density))`, dispatch included,
or a share of one for a batch if chains share a program; **window** is what the host does at the end
of a window of warm-up; **result** makes ArviZ groups and the verdict; **memory** is what the peak
rose by after the imports. The last line of a table has the exponents: the slope of the logarithm of
each column over the sizes from a hundredth of the largest on. A case that takes longer than the
limit has no line.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

# Compiling is part of what is measured; imports are not.
os.environ.update(PUSHFORWARD_CACHE="0", EAGER_IMPORT="1")

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

import infer
from benchmarks import page
from benchmarks.scaling_models import AXES, Axis
from infer.output.data.arviz import to_arviz
from infer.output.judge.verdict import judge_run
from infer.run.progress import Progress
from infer.run.recentering import end_window_of
from infer.run.warmup import read_windows

RESULTS = Path(__file__).parent / "results" / "scaling.md"
WARMUP, DRAWS, MOST_DRAWS, CPU_SECONDS = 40, 20, 1000, 0.3
# Exponents are fitted to the sizes within this factor of the largest.
RANGE = 100
COLUMNS = {
    "compile": "compile, s", "step": "step, µs", "floor": "floor, µs", "ratio": "step / floor",
    "window": "window, ms", "result": "result, s", "memory": "memory, MB",
}  # fmt: skip


class Stopwatch:
    """CPU seconds since the last reading."""

    def __init__(self) -> None:
        self.began = time.process_time()

    def read(self) -> float:
        """Return the seconds, and begin again."""
        before, self.began = self.began, time.process_time()
        return self.began - before


def peak() -> float:
    """Return the largest memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(axis: Axis, size: int) -> dict[str, float]:
    """Measure one case."""
    chains = size if axis.grows_chains else 2
    before, watch = peak(), Stopwatch()
    model = axis.make(size)
    watch.read()
    engine = infer.NUTS(max_depth=5, stop_early=False)
    run = infer.start(model, engine, chains=chains, warmup=WARMUP, progress=False)
    run.collect(1, Progress(shown=False))
    found = {"compile": watch.read()}
    found["window"] = 1e3 * warm_up(run)
    found["step"] = 1e6 * measure_step(run)
    watch.read()
    judge_run(run, to_arviz(run))
    found["result"] = watch.read()
    found["memory"] = peak() - before
    found["floor"] = 1e6 * measure_floor(run)
    return found | {"ratio": found["step"] / found["floor"]}


def warm_up(run: Any) -> float:
    """Warm up; return the seconds that the host took at the end of a window, on average."""
    spent, windows = 0.0, 0
    while run.warmup.windows:
        run.collect(run.warmup.windows[0], Progress(shown=False))
        watch = Stopwatch()
        made = read_windows(run.warmup, run.format)
        run.warmup = end_window_of(run.engine, run.family, run.warmup, *made)
        spent, windows = spent + watch.read(), windows + 1
    return spent / windows


def measure_step(run: Any) -> float:
    """Make draws; return the seconds for each gradient of each chain."""
    run.advance(1)
    watch, seconds, draws = Stopwatch(), 0.0, 1
    before = run.draws().stats["n_steps"].sum()
    while seconds < CPU_SECONDS and draws < MOST_DRAWS:
        more = DRAWS if draws == 1 else draws
        watch.read()
        run.advance(more)
        seconds, draws = seconds + watch.read(), draws + more
    return seconds / float(run.draws().stats["n_steps"].sum() - before)


def measure_floor(run: Any) -> float:
    """Return the seconds of one bare gradient, of as many chains as share a program."""
    width, density = run.plan.width, run.density
    positions = run.draws().positions[:width, -1]
    one = lambda density, q: jax.value_and_grad(density)(q)  # noqa: E731
    call = jax.jit(one if width == 1 else jax.vmap(one, in_axes=(None, 0)))
    given = jax.device_put(positions[0] if width == 1 else positions)
    jax.block_until_ready(call(density, given))
    watch, calls, seconds = Stopwatch(), 0, 0.0
    while seconds < CPU_SECONDS:
        for _ in range(10):
            jax.block_until_ready(call(density, given))
        calls, seconds = calls + 10, seconds + watch.read()
    return seconds / calls / width


class Case(NamedTuple):
    """One line of a table."""

    size: int
    found: dict[str, float]


def measure_apart(name: str, size: int, limit: float) -> Case | None:
    """Measure one case in a process of its own; None if it takes too long."""
    command = [sys.executable, "-m", "benchmarks.scaling", "--case", name, str(size)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return None
    return Case(size, json.loads(made.stdout.splitlines()[-1]))


def fit_exponent(cases: list[Case], column: str) -> float:
    """Return the slope of the logarithm of a column over that of the size, for large sizes."""
    own = [case for case in cases if case.size * RANGE >= cases[-1].size]
    sizes = np.log([case.size for case in own])
    values = np.log([max(case.found[column], 1e-9) for case in own])
    return float(np.polyfit(sizes, values, 1)[0])


def write_table(axis: Axis, cases: list[Case]) -> list[str]:
    """Write one table, with its exponents in the last line."""
    lines = [f"## {axis.title[0].upper()}{axis.title[1:]}", ""]
    lines += ["| size |" + "".join(f" {title} |" for title in COLUMNS.values())]
    lines += ["| --: |" + " --: |" * len(COLUMNS)]
    for size, found in cases:
        lines.append(f"| {size:,} |" + "".join(f" {found[name]:.3g} |" for name in COLUMNS))
    if len(cases) > 1:
        slopes = "".join(f" {fit_exponent(cases, name):.2f} |" for name in COLUMNS)
        lines.append(f"| exponent |{slopes}")
    return [*lines, ""]


def main() -> None:
    """Measure all axes, or one case for the process that asked for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="two sizes of each axis")
    parser.add_argument("--axes", nargs="*", default=list(AXES))
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each case")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.case:
        name, size = asked.case
        print(json.dumps(measure(AXES[name], int(size))))
        return
    lines: list[str] = []
    for name in asked.axes:
        axis = AXES[name]
        sizes = axis.few if asked.quick else axis.sizes
        cases = [case for n in sizes if (case := measure_apart(name, n, asked.limit))]
        lines += write_table(axis, cases)
        print("\n".join(lines[-len(cases) - 6 :]), flush=True)
    page.write(asked.results, "Scaling", __doc__, lines)


if __name__ == "__main__":
    main()
