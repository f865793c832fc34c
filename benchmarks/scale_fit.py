"""Fit costs to measured points, and compare the points that were held out with the fit.

`benchmarks/scale_measure.py` measures them; `benchmarks/scale_model.py` says what this is for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from benchmarks.scale_measure import SHARD, Point
from benchmarks.scale_measure_rows import COLUMNS
from benchmarks.scale_rows import Pace, Rows
from benchmarks.scale_simulation import Costs, Outcome, fit_line, simulate
from infer.output.stored.allocator import LARGEST_MMAP

# The calling process and the workers of the measured calls share the cores of one machine.
CORES = 2
# Data sets of a shard of a small call, and of the largest call that has such shards.
SMALL, LIMIT = 16, 512


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
        gather: Processor time of the calling process at the end of a call, of each commit, and of
            each shard.
        files: Seconds of the files of a commit, of each data set of the call, and of each shard.
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
    gather: tuple[float, ...]
    files: tuple[float, ...]
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
        "sum": _fit(choose(points, "sum"), "bytes"),
    }
    gather = _fit_three(choose(points, "gather")[:-1], "cpu", _count_gathered)
    files = _fit_three(_choose_fewer_keys(points), "seconds", _count_committed)
    worker = _fit_workers(choose(points, "cluster", workers=1))
    again = _fit_cluster(points, lines, gather, files)
    cold = _fit_first(points, again, worker)
    make, stack = lines["make"][1], lines["stack"][1]
    rows = _fit_rows(points, *lines["sum"])
    return Model(
        again, cold, worker, gather, files, lines["chain"], make, stack, rows, lines["byte"], lines
    )


def _fit(points: list[Point], size: str, value: str = "seconds", over: str | None = None) -> Any:
    seconds = [p[value] / (p[over] if over else 1) for p in points]
    return fit_line([p[size] for p in points], seconds)


def _fit_three(points: list[Point], value: str, count: Any) -> tuple[float, ...]:
    """Fit three costs, none of them negative, by relative least squares."""
    columns = np.array([count(p) for p in points], float)
    seconds = np.array([p[value] for p in points])
    found = np.linalg.lstsq(columns / seconds[:, None], np.ones(len(points)), rcond=None)[0]
    return tuple(np.maximum(found, 0).tolist())


def _count_gathered(point: Point) -> tuple[float, ...]:
    return 1, -(-point["shards"] // point["together"]), point["shards"]


def _count_committed(point: Point) -> tuple[float, ...]:
    return 1, point["keys"], point["shards"]


def _choose_fewer_keys(points: list[Point]) -> list[Point]:
    """Return all commits but those of the most data sets."""
    own = choose(points, "commit")
    return [p for p in own if p["keys"] < max(p["keys"] for p in own)]


def _fit_cluster(
    points: list[Point], lines: dict[str, tuple[float, float]], gather: tuple[float, ...],
    files: tuple[float, ...],
) -> Costs:  # fmt: skip
    """Fit shards to the tasks of one worker, and what a call costs besides to its seconds.

    A worker and the calling process have a core each. What Dask does when nobody asks leaves less
    of the cores for others.
    """
    calls, idle = choose(points, "cluster", workers=1), choose(points, "idle")[0]
    times = {
        size: [t for p in calls if _size(p) == size for t in p["tasks"]] for size in (SMALL, SHARD)
    }
    shard, each = fit_line(list(times), [fmean(own) for own in times.values()])
    largest = max(calls, key=lambda own: own["sets"])
    costs = Costs(
        begin_each=lines["begin"][1], hand_out=lines["task"][1], shard=shard, each=each,
        spread=float(np.std(np.log(times[SMALL]))), bytes_each=largest["bytes"] / largest["sets"],
        commit=gather[1], commit_each=files[1], commit_shard=gather[2],
        task_cores=sum(p["workers_cpu"] for p in calls) / sum(sum(p["tasks"]) for p in calls),
        cores=CORES - idle["cpu"] / idle["seconds"],
    )  # fmt: skip
    rest = [p["seconds"] - _simulate(costs, p).seconds for p in calls]
    return replace(costs, begin=max(fmean(rest), 0))


def _fit_first(points: list[Point], again: Costs, worker: tuple[float, float]) -> Costs:
    """Fit what a first call costs besides to that on one worker."""
    start, first = choose(points, "start", workers=1)[0], choose(points, "first", workers=1)[0]
    load = choose(points, "load")[0]
    compiling = max(first["tasks"]) - _shard_seconds(again, SMALL)
    sampling = worker[0] * len(first["tasks"]) + worker[1] * first["sets"]
    cores = (first["workers_cpu"] - sampling - load["cpu"]) / compiling
    cold = replace(again, load=load["cpu"], compile=compiling, compile_cores=max(cores, 1.0))
    rest = first["seconds"] - _simulate(cold, first).seconds
    return replace(cold, begin=again.begin + max(rest, 0), ready=start["seconds"])


def _fit_workers(calls: list[Point]) -> tuple[float, float]:
    """Fit the processor time of workers, which other work on the machine changes little."""
    cpu = np.array([p["workers_cpu"] for p in calls])
    columns = np.array([[len(p["tasks"]), p["sets"]] for p in calls]) / cpu[:, None]
    shard, each = np.linalg.lstsq(columns, np.ones(len(calls)), rcond=None)[0]
    return float(shard), float(each)


def _fit_rows(points: list[Point], latency: float, byte: float) -> Rows:
    """Fit gradients of one device, and of two at the same time.

    Temporary arrays of more than 32 MiB get memory from the system for each gradient, which clears
    it page by page; smaller ones get what was used before. Source: man 3 mallopt, on
    M_MMAP_THRESHOLD.
    """
    every = choose(points, "rows")
    alone, (fixed, *others) = (_fit_pace(choose(every, "rows", devices=n)[::2]) for n in (1, 2))
    row_bytes = max(p["temporary"] * p["devices"] / p["rows"] for p in every)
    together = Pace(fixed - latency, *others)
    return Rows(alone, together, LARGEST_MMAP / row_bytes, latency, 1 / byte)


def _fit_pace(points: list[Point]) -> Pace:
    sizes = np.array([p["rows"] / p["devices"] for p in points])
    seconds = np.array([p["seconds"] for p in points])
    fresh = np.array([p["temporary"] > LARGEST_MMAP for p in points])
    fixed, each = fit_line(sizes[~fresh].tolist(), seconds[~fresh].tolist())
    longer = (seconds - fixed - each * sizes)[fresh] / sizes[fresh]
    return Pace(fixed, each, float(np.mean(longer)) if fresh.any() else 0.0)


def _size(point: Point) -> int:
    return SHARD if point["sets"] > LIMIT else SMALL


def _shard_seconds(costs: Costs, sets: int) -> float:
    return costs.shard + costs.each * sets


def _simulate(costs: Costs, point: Point) -> Outcome:
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
    point = choose(points, "gather")[-1]
    what = f"{point['shards']} shards gathered, {point['together']} in a commit"
    yield Check(what, point["cpu"], float(np.dot(model.gather, _count_gathered(point))))
    most = max(p["keys"] for p in choose(points, "commit"))
    for point in choose(points, "commit", keys=most):
        says = float(np.dot(model.files, _count_committed(point)))
        what = f"files of a commit of {point['shards']} shards of {most:,} data sets"
        yield Check(what, point["seconds"], says)
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
    for kept in choose(points, "kept"):
        says = model.rows.alone.seconds(kept["rows"], is_fresh=False)
        what = f"a gradient of {kept['rows']:,} rows on one device, memory kept"
        yield Check(what, kept["seconds"], says)
