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
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import page
from benchmarks.scale_measure import PARTS, Point, measure
from benchmarks.scale_simulation import Costs, Rows, fit_line, simulate

RESULTS = Path(__file__).parent / "results"
SHARD, SMALL, LIMIT = 256, 16, 512
LARGEST_ERROR = 0.2
SETS, WORKERS, ROWS, DEVICES, COLUMNS = 10**6, 100, 10**9, 64, 10
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


class Check(NamedTuple):
    """A held-out point: what it is, what was measured, and what the model says, in seconds."""

    what: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """The relative error of the prediction."""
        return self.predicted / self.measured - 1


class Model(NamedTuple):
    """The fitted costs of this machine.

    Attributes:
        again: A repeated call on a cluster.
        first: The first call in new processes, which compile.
        worker: Processor time of a shard and of each data set, on a worker.
        chain: Processor time of a data set without chains, and of each chain.
        make: Seconds to make a model of a list.
        stack: Seconds of the calling process for each data set of a stack.
        rows: A gradient whose rows are divided.
        byte: Seconds of a file, and of each byte, of one worker.
        lines: Fixed and marginal costs of single steps, by name.
    """

    again: Costs
    first: Costs
    worker: tuple[float, float]
    chain: tuple[float, float]
    make: float
    stack: float
    rows: Rows
    byte: tuple[float, float]
    lines: dict[str, tuple[float, float]]


def choose(points: Iterable[Point], part: str, **wanted: Any) -> list[Point]:
    """Return the points of a part that have these values."""
    return [
        p for p in points if p["part"] == part and all(p[n] == own for n, own in wanted.items())
    ]


def fit(points: list[Point]) -> Model:
    """Fit all costs to the points that are not held out."""
    lines = {
        "make": _fit(choose(points, "make", kind="list")[:-1], "sets", "cpu"),
        "begin": _fit(choose(points, "begin", kind="list")[:-1], "sets", "cpu"),
        "stack": _fit(choose(points, "begin", kind="stack")[:-1], "sets", "cpu"),
        "task": _fit(choose(points, "task")[:-1], "tasks"),
        "byte": _fit(choose(points, "bytes")[:-1], "bytes"),
        "chain": _fit(choose(points, "chains")[::2], "chains", "cpu", "sets"),
        "rows": _fit(choose(points, "rows", devices=1)[::2], "rows"),
        "divided": _fit(choose(points, "rows", devices=2)[::2], "rows"),
        "sum": _fit(choose(points, "sum"), "bytes"),
    }
    again = _fit_cluster(points, lines)
    start, first = choose(points, "start", workers=1)[0], choose(points, "first", workers=1)[0]
    compiled = replace(again, compile=max(first["tasks"]) - _shard_seconds(again, SMALL))
    rest = first["seconds"] - _simulate(compiled, first).seconds
    cold = replace(compiled, begin=again.begin + max(rest, 0), ready=start["seconds"])
    (gradient, row), (latency, byte) = lines["rows"], lines["sum"]
    fixed, each = lines["divided"]
    rows = Rows(gradient, row, latency, 1 / byte, (fixed - latency, 2 * each))
    make, stack = lines["make"][1], lines["stack"][1]
    worker = _fit_workers(choose(points, "cluster", workers=1))
    return Model(again, cold, worker, lines["chain"], make, stack, rows, lines["byte"], lines)


def _fit(points: list[Point], size: str, value: str = "seconds", over: str | None = None) -> Any:
    seconds = [p[value] / (p[over] if over else 1) for p in points]
    return fit_line([p[size] for p in points], seconds)


def _fit_cluster(points: list[Point], lines: dict[str, tuple[float, float]]) -> Costs:
    """Fit shards to the tasks of one worker, and what a call costs besides to its seconds."""
    calls = choose(points, "cluster", workers=1)
    times = {
        size: [t for p in calls if _size(p) == size for t in p["tasks"]] for size in (SMALL, SHARD)
    }
    shard, each = fit_line(list(times), [fmean(own) for own in times.values()])
    largest = max(calls, key=lambda own: own["sets"])
    costs = Costs(
        begin_each=lines["begin"][1], hand_out=lines["task"][1], shard=shard, each=each,
        spread=float(np.std(np.log(times[SMALL]))), bytes_each=largest["bytes"] / largest["sets"],
        **_fit_commits(choose(points, "commit")),
    )  # fmt: skip
    rest = [p["seconds"] - _simulate(costs, p).seconds for p in calls]
    return replace(costs, begin=max(fmean(rest), 0))


def _fit_workers(calls: list[Point]) -> tuple[float, float]:
    """Fit the processor time of workers, which other work on the machine changes little."""
    cpu = np.array([p["workers_cpu"] for p in calls])
    columns = np.array([[len(p["tasks"]), p["sets"]] for p in calls]) / cpu[:, None]
    shard, each = np.linalg.lstsq(columns, np.ones(len(calls)), rcond=None)[0]
    return float(shard), float(each)


def _fit_commits(points: list[Point]) -> dict[str, float]:
    """Fit commits to all but those of the most data sets."""
    own = [p for p in points if p["keys"] < max(p["keys"] for p in points)]
    columns = np.array([[1.0, p["keys"], p["shards"]] for p in own])
    seconds = np.array([p["seconds"] for p in own])
    found = np.linalg.lstsq(columns / seconds[:, None], np.ones(len(own)), rcond=None)[0]
    names = ("commit", "commit_each", "commit_shard")
    return dict(zip(names, np.maximum(found, 0).tolist(), strict=True))


def _size(point: Point) -> int:
    return SHARD if point["sets"] > LIMIT else SMALL


def _shard_seconds(costs: Costs, sets: int) -> float:
    return costs.shard + costs.each * sets


def _simulate(costs: Costs, point: Point) -> Any:
    """Simulate a measured call."""
    return simulate(costs, point["sets"], _size(point), point["workers"])


def check(points: list[Point], model: Model) -> Iterator[Check]:
    """Compare the held-out points with what the model says."""
    for point in choose(points, "cluster", workers=2):
        what = f"{point['sets']} data sets on 2 workers, again"
        yield Check(what, point["seconds"], _simulate(model.again, point).seconds)
        shard, each = model.worker
        says = shard * len(point["tasks"]) + each * point["sets"]
        yield Check(f"{what}, processor time of workers", point["workers_cpu"], says)
    first = choose(points, "first", workers=2)[0]
    cold = replace(model.first, ready=0.0)
    what = f"{first['sets']} data sets on 2 workers, first call"
    yield Check(what, first["seconds"], _simulate(cold, first).seconds)
    for point in choose(points, "chains")[1:-1]:
        fixed, each = model.chain
        what = f"{point['sets']} data sets of {point['chains']} chains, processor time"
        yield Check(what, point["cpu"], point["sets"] * (fixed + each * point["chains"]))
    for part, kind, name in (("make", "list", "make"), ("begin", "list", "begin"),
                             ("begin", "stack", "stack")):  # fmt: skip
        point = choose(points, part, kind=kind)[-1]
        what = "models made" if part == "make" else f"data sets begun, a {kind}"
        yield _check_line(model, name, point, "sets", "cpu", what)
    yield _check_line(model, "task", choose(points, "task")[-1], "tasks", "seconds", "tasks")
    yield _check_line(model, "byte", choose(points, "bytes")[-1], "bytes", "seconds", "bytes")
    most = max(p["keys"] for p in choose(points, "commit"))
    for point in choose(points, "commit", keys=most):
        costs = model.again
        says = costs.commit + costs.commit_each * most + costs.commit_shard * point["shards"]
        yield Check(f"a commit of {point['shards']} shards of {most:,} data sets",
                    point["seconds"], says)  # fmt: skip
    yield from _check_rows(points, model)


def _check_line(model: Model, name: str, point: Point, size: str, value: str, what: str) -> Check:
    fixed, each = model.lines[name]
    return Check(f"{point[size]:,} {what}", point[value], fixed + each * point[size])


def _check_rows(points: list[Point], model: Model) -> Iterator[Check]:
    one, two = (choose(points, "rows", devices=devices) for devices in (1, 2))
    for point in (*one[1::2], *two[1::2]):
        says = model.rows.seconds(point["rows"], point["devices"], 4 * (COLUMNS + 1))
        where = "one device" if point["devices"] == 1 else f"{point['devices']} devices"
        what = f"a gradient of {point['rows']:,} rows on {where}"
        yield Check(what, point["seconds"], says)


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
        ("compiling, in the first task", first.compile, "worker"),
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
        ("a commit", costs.commit, "commit"),
        ("the same", costs.commit_each, "commit and data set of the call"),
        ("writing durably", model.byte[0], "write"),
        ("the same", model.byte[1], "byte"),
        ("a gradient", rows.gradient, "gradient"),
        ("the same", rows.row, "row on its device, alone"),
        ("the same", 2 * model.lines["divided"][1], "row on each of two devices at the same time"),
        ("a sum over two devices", rows.latency, "sum"),
        ("the same", 1 / rows.bytes, "byte"),
    ]
    lines = ["| what | seconds | for each |", "| --- | --: | --- |"]
    lines += [f"| {what} | {seconds:.2g} | {unit} |" for what, seconds, unit in table]
    lines.append(
        f"\nA data set of 4 chains writes {costs.bytes_each / 1000:.0f} kB. The times of shards "
        f"have a relative standard deviation of {costs.spread:.1%}."
    )
    return lines


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
        restart=RESTART + model.first.ready,
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
    chip = Rows(LAUNCH, ROW_BYTES / MEMORY_BYTES, LATENCY, LINK_BYTES)
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
    even = (chip.latency * np.log2(DEVICES)) / chip.row * DEVICES
    lines.append(
        f"\nA device of {DEVICES} holds {bytes_each:.2g} GB of data. On {DEVICES} H100, a sum "
        f"takes as long as the rows themselves if there are {even:.1g} of them."
    )
    return lines


def write_assumptions() -> list[str]:
    """List what cannot be measured here."""
    return [
        f"- {STORE[0].upper()}{STORE[1:]}.",
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
    old = json.loads(asked.points.read_text())["points"] if asked.points.exists() else []
    kept = [p for p in old if p["of"] not in asked.only]
    made = [p | {"of": part} for part in asked.only for p in measure([part])]
    read = {"date": str(date.today()), "machine": _describe_machine(), "points": kept + made}
    asked.points.write_text(json.dumps(read, indent=0) + "\n")


if __name__ == "__main__":
    main()
