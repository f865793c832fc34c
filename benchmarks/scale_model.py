"""Predict what 10^6 data sets on 100 workers and 10^9 rows on 64 devices would take.

    python -m benchmarks.scale_model --measure [--only PART ...]
    python -m benchmarks.scale_model

The first command measures on this machine, which must have two cores and be quiet, and writes
benchmarks/results/scale_model.json; the second reads it and writes
benchmarks/results/scale_model.md. The data sets are of eight-schools size, those of
`benchmarks/many_datasets.py`, with 4 chains of 40 + 200 draws; the rows are those of a logistic
regression of 10 columns in single precision. Workers and devices have one core each.

Costs are fitted to points that were measured at two sizes or more, so that fixed costs are
separated from the cost of each data set, chain, row or byte. Each size is the best of some repeats,
since other work on the machine only adds time. The other points are held out: the model has not
seen them, and the second table compares them with what it predicts. Predictions beyond are a
simulation (`benchmarks/scale_simulation.py`) with the measured costs, and with assumptions about
what cannot be measured here, which are listed.
"""

import argparse
import json
import platform
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import page
from benchmarks.scale_fit import CORES, Check, Model, check, fit
from benchmarks.scale_measure import PARTS, SHARD, measure
from benchmarks.scale_measure_rows import COLUMNS
from benchmarks.scale_rows import Pace, Rows
from benchmarks.scale_simulation import Costs, simulate

RESULTS = Path(__file__).parent / "results"
LARGEST_ERROR = 0.2
SETS, WORKERS, ROWS, DEVICES = 10**6, 100, 10**9, 64
SEEDS = 5
# Assumptions: what cannot be measured here.
STORE_BYTES, STORE = 2.4e9, (
    "the store takes 2.4 GB/s: Amazon FSx for Lustre with 2.4 TiB of persistent SSD, 1,000 MB/s "
    "for each TiB (AWS, Managing throughput capacity)"
)  # fmt: skip
UNLIKE, LOST, RESTART = 0.1, 0.05 / 3600, 60.0
MEMORY_BYTES, MEMORY = 0.6 * 3.35e12, (
    "an accelerator reads 3.35 TB/s (NVIDIA, H100 SXM data sheet), of which programs reach 60 %"
)  # fmt: skip
# x twice, y, and the linear predictor and its gradient, each written and read.
ROW_BYTES = 2 * 4 * COLUMNS + 4 + 4 * 4
LAUNCH = 50e-6
LATENCY, NETWORK = 61.6e-6, (
    "a sum takes 61.6 µs for each doubling of the number of devices, which is what 128 bytes took "
    "on a cluster of H100 (NVIDIA/nccl, issue 1453)"
)  # fmt: skip
LINK_BYTES = 50e9


def write_checks(checks: list[Check]) -> list[str]:
    """Write the comparison as a table."""
    lines = ["| held out | measured, s | predicted, s | error |", "| --- | --: | --: | --: |"]
    lines += [
        f"| {c.what} | {c.measured:.3g} | {c.predicted:.3g} | {c.error:+.0%} |" for c in checks
    ]
    worst = max(checks, key=lambda own: abs(own.error))
    within = sum(abs(c.error) <= LARGEST_ERROR for c in checks)
    lines.append(
        f"\n{within} of {len(checks)} held-out points are within {LARGEST_ERROR:.0%}; the largest "
        f"error is {worst.error:+.0%} ({worst.what})."
    )
    return lines


def write_costs(model: Model) -> list[str]:
    """Write the fitted costs as a table."""
    costs, first, rows = model.again, model.first, model.rows
    table = [
        ("a worker's start, until it takes tasks", first.ready, "worker"),
        ("importing, in the first task, processor time", first.load, "worker"),
        (
            f"compiling on {first.compile_cores:.2g} cores, in the first task",
            first.compile,
            "worker",
        ),
        ("the calling process, first call", first.begin, "call"),
        ("the same, repeated", costs.begin, "call"),
        ("the same, models in a list", costs.begin_each, "data set"),
        ("the same, models in one stack", model.stack, "data set"),
        ("making a model of a list", model.make, "data set"),
        ("handing out a task", costs.hand_out, "task"),
        ("a shard besides its data sets", costs.shard, "task"),
        ("sampling and storing, 4 chains", costs.each, "data set"),
        ("a shard besides its data sets, processor time", model.worker[0], "task"),
        ("sampling and storing, 4 chains, processor time", model.worker[1], "data set"),
        ("in one process without chains, processor time", model.chain[0], "data set"),
        ("in one process, processor time", model.chain[1], "chain"),
        ("the end of a call, processor time", model.gather[0], "call"),
        ("a commit, processor time", costs.commit, "commit"),
        ("the same", costs.commit_each, "commit and data set of the call"),
        ("the same", costs.commit_shard, "shard"),
        ("writing durably", model.byte[0], "write"),
        ("the same", model.byte[1], "byte"),
        *_list_pace("a device alone", rows.alone),
        *_list_pace("one of two devices at the same time", rows.together or rows.alone),
        ("a sum over two devices", rows.latency, "sum"),
        ("the same", 1 / rows.bytes, "byte"),
    ]
    lines = ["| what | seconds | for each |", "| --- | --: | --- |"]
    lines += [f"| {what} | {seconds:.2g} | {unit} |" for what, seconds, unit in table]
    lines.append(
        f"\nA data set of 4 chains writes {costs.bytes_each / 1000:.0f} kB. The times of shards "
        f"have a relative standard deviation of {costs.spread:.1%}. A task uses "
        f"{costs.task_cores:.2f} cores, and what Dask does when nobody asks leaves "
        f"{costs.cores:.2f} of {CORES}. Temporary arrays of more than {rows.reused:,.0f} rows are "
        "in fresh memory."
    )
    return lines


def _list_pace(where: str, pace: Pace) -> list[tuple[str, float, str]]:
    return [
        (f"{where}, a gradient", pace.gradient, "gradient"),
        ("the same", pace.row, "row"),
        *([("the same, temporary arrays in fresh memory", pace.row + pace.fresh, "row")]
          if pace.fresh else []),
    ]  # fmt: skip


class Case(NamedTuple):
    """A prediction for many data sets, the mean over some seeds."""

    what: str
    seconds: float
    begun: float
    sampled: float
    busy: float
    repeated: float


def predict(what: str, costs: Costs, workers: int = WORKERS) -> Case:
    """Simulate 10^6 data sets for several seeds."""
    made = [simulate(costs, SETS, SHARD, workers, seed) for seed in range(SEEDS)]
    named = ("seconds", "begun", "sampled", "busy", "repeated")
    return Case(what, *(fmean(getattr(own, name) for own in made) for name in named))


def extrapolate(model: Model) -> Costs:
    """Return the costs of a cluster, with the assumptions about it."""
    return replace(
        model.first, store_bytes=STORE_BYTES, unlike=UNLIKE, lost=LOST,
        restart=RESTART + model.first.ready, cores=np.inf,
    )  # fmt: skip


def write_datasets(model: Model) -> list[str]:
    """Predict 10^6 data sets, and what each assumption does."""
    cluster = extrapolate(model)
    stacked = replace(cluster, begin_each=model.stack)
    listed = replace(cluster, begin_each=cluster.begin_each + model.make)
    jobs = replace(stacked, begin=model.first.begin, begin_each=listed.begin_each / WORKERS,
                   hand_out=0.0, commit_each=stacked.commit_each / WORKERS)  # fmt: skip
    cases = [
        predict("models in one stack", stacked),
        predict("models in a list", listed),
        predict("a job array, a list in each job", jobs),
        predict("one worker, one stack", stacked, 1),
    ]
    lines = [
        "| case | seconds | begun | stored | workers busy, hours | tasks repeated |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for own in cases:
        lines.append(
            f"| {own.what} | {own.seconds:,.0f} | {own.begun:,.0f} | {own.sampled:,.0f} | "
            f"{own.busy / 3600:.1f} | {own.repeated:.1f} |"
        )
    return [*lines, "", *_write_sensitivity(stacked)]


def _write_sensitivity(costs: Costs) -> list[str]:
    """Change each cost and assumption by a factor of two, and say what the call takes then."""
    base = predict("", costs).seconds
    changed = {
        "each": "a data set", "begin_each": "a data set in the calling process",
        "commit_each": "a commit, for each data set of the call", "hand_out": "handing out a task",
        "compile": "compiling", "bytes_each": "bytes of a data set",
        "store_bytes": "bytes a second of the store (assumed)",
        "unlike": "unlikeness of workers (assumed)", "spread": "spread of shards",
        "lost": "losses of workers (assumed)", "restart": "time to replace a worker (assumed)",
    }  # fmt: skip
    lines = ["| for one stack, if this is | half | twice |", "| --- | --: | --: |"]
    for name, title in changed.items():
        both = (predict("", replace(costs, **{name: f * getattr(costs, name)})) for f in (0.5, 2))
        half, twice = (own.seconds / base - 1 for own in both)
        lines.append(f"| {title} | {half:+.0%} | {twice:+.0%} |")
    return lines


def write_rows(model: Model) -> list[str]:
    """Predict gradients of 10^9 rows on CPU cores and on accelerators."""
    chip = Rows(Pace(LAUNCH, ROW_BYTES / MEMORY_BYTES), latency=LATENCY, bytes=LINK_BYTES)
    chips = replace(model.rows, latency=LATENCY, bytes=LINK_BYTES)
    summed = 4.0 * (COLUMNS + 1)
    lines = [
        "| devices | ms a gradient | of these, the sum | times as fast | 10,000 gradients, min |",
        "| --- | --: | --: | --: | --: |",
    ]
    for name, kind in (("cores of this machine, by its loopback", model.rows),
                       ("cores of this machine, by a network", chips),
                       ("H100, by a network", chip)):  # fmt: skip
        for devices in (1, 8, DEVICES):
            each = kind.seconds(ROWS, devices, summed)
            alone = kind.on_devices(ROWS, devices)
            lines.append(
                f"| {devices} {name} | {1e3 * each:,.3g} | {1e3 * (each - alone):.2g} | "
                f"{kind.seconds(ROWS, 1, summed) / each:.1f} | {each * 10_000 / 60:,.2g} |"
            )
    bytes_each = ROWS / DEVICES * 4 * (COLUMNS + 1) / 1e9
    even = chip.latency * np.log2(DEVICES) / chip.alone.row * DEVICES
    lines.append(
        f"\nA device of {DEVICES} holds {bytes_each:.2g} GB of data. On {DEVICES} H100, a sum "
        f"takes as long as the rows themselves if there are {even:.1g} of them."
    )
    return lines


def write_assumptions() -> list[str]:
    """List what cannot be measured here."""
    return [
        f"- {STORE[0].upper()}{STORE[1:]}.",
        "- The calling process and each worker have a machine of their own.",
        f"- Workers have cores of this machine's speed, with a standard deviation of {UNLIKE:.0%}; "
        f"{LOST * 3600:.0%} of them are lost in an hour, and another one is there after "
        f"{RESTART:.0f} s and the start of its process.",
        f"- {MEMORY[0].upper()}{MEMORY[1:]}; a row takes {ROW_BYTES} bytes, and a gradient "
        f"{LAUNCH * 1e6:.0f} µs for its kernels.",
        f"- {NETWORK[0].upper()}{NETWORK[1:]}; each device sends {LINK_BYTES / 1e9:.0f} GB/s "
        "(InfiniBand NDR, 400 Gb/s).",
    ]


def write(read: dict[str, Any]) -> list[str]:
    """Write all tables."""
    points = read["points"]
    model = fit(points)
    return [
        f"Measured on {read['date']}: {read['machine']}.",
        "\n## Costs\n",
        *write_costs(model),
        "\n## Points that were held out\n",
        *write_checks(list(check(points, model))),
        f"\n## {SETS:,} data sets on {WORKERS} workers\n",
        *write_datasets(model),
        f"\n## {ROWS:,} rows on {DEVICES} devices\n",
        *write_rows(model),
        "\n## Assumptions\n",
        *write_assumptions(),
    ]


def _describe_machine() -> str:
    import os

    import jax

    names = [line.partition(":")[2].strip() for line in _read_lines("/proc/cpuinfo")
             if line.startswith("model name")]  # fmt: skip
    name = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{os.cpu_count()} cores, {name}, Python {platform.python_version()}, jax {jax.__version__}"
    )


def _read_lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def main() -> None:
    """Measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--points", type=Path, default=RESULTS / "scale_model.json")
    asked = parser.parse_args()
    if not asked.measure:
        lines = write(json.loads(asked.points.read_text()))
        page.write(RESULTS / "scale_model.md", "Internet scale, on paper", __doc__, lines)
        print((RESULTS / "scale_model.md").read_text())
        return
    points = json.loads(asked.points.read_text())["points"] if asked.points.exists() else []
    for part in asked.only:
        made = [p | {"of": part} for p in measure([part])]
        points = [p for p in points if p["of"] != part] + made
        read = {"date": str(date.today()), "machine": _describe_machine(), "points": points}
        asked.points.write_text(json.dumps(read, indent=0) + "\n")


if __name__ == "__main__":
    main()
