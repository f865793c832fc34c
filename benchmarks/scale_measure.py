"""Measure what `benchmarks/scale_model.py` needs, each part in processes of its own.

    python -m benchmarks.scale_measure PART

prints the points of one part as JSON. Every cost is measured at several sizes, so that what is paid
once can be told from what each data set, row or byte costs.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REPEATS = 3
# Data sets of a call on a cluster; the first call compiles. At most 512 are sampled 16 at a time.
FIRST, ONE_WORKER, TWO_WORKERS = 64, (128, 768), (256, 768, 1024)
DRAWS, WARMUP = 200, 40
CHAIN_SETS, CHAINS = 64, (2, 4, 8)
# More than are sampled without shards.
BEGUN = (1000, 3000, 9000)
KEYS, COMMITTED = (10_000, 100_000, 300_000), (1, 8)
TASKS = (100, 300, 900)
BYTES = (2**22, 2**24, 2**25)
ROWS, COLUMNS, CALLS = (400_000, 800_000, 1_600_000, 3_200_000), 10, 15
SUMMED = (11, 1_000_000)
# One thread for each device, as if each device were a machine with one core.
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
Point = dict[str, Any]


@contextmanager
def clock(point: Point) -> Iterator[None]:
    """Put seconds and processor time of what is inside into a point."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    point |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def best(points: list[Point]) -> Point:
    """Return the point of the shortest repeat: other work on the machine only adds time."""
    return min(points, key=lambda own: own["seconds"])


def measure_cluster(workers: int) -> list[Point]:
    """Sample data sets on workers of one thread each: starting, a first call, and repeated ones."""
    from distributed import Client, LocalCluster  # pyright: ignore[reportMissingImports]

    point: Point = {"part": "start", "workers": workers}
    options: Any = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with tempfile.TemporaryDirectory() as folder:
        with clock(point):
            cluster = LocalCluster(**options)
            client = Client(cluster)
            client.wait_for_workers(workers)
        with cluster, client:
            call = partial(_call_cluster, client, workers)
            points = [point, call(FIRST, f"{folder}/first") | {"part": "first"}]
            sizes = (FIRST, *(ONE_WORKER if workers == 1 else TWO_WORKERS))
            for sets in sizes:
                each = [call(sets, f"{folder}/{sets}-{i}") for i in range(REPEATS)]
                points.append(best(each) | {"part": "cluster"})
    return points


def _call_cluster(client: Any, workers: int, sets: int, where: str) -> Point:
    from distributed import get_task_stream  # pyright: ignore[reportMissingImports]

    from benchmarks.cluster import sample
    from benchmarks.many_datasets import make_models, simulate

    models = make_models(simulate(sets))
    point: Point = {"workers": workers, "sets": sets}
    used = lambda: sum(client.run(time.process_time).values())  # noqa: E731
    before = used()
    stream: Any
    with get_task_stream(client) as stream, clock(point):
        sample(models, where, DRAWS, client=client)
    point["workers_cpu"] = used() - before
    tasks = [own for own in stream.data if own["key"].startswith("pushforward-call")]
    point["tasks"] = sorted(
        own["stop"] - own["start"]
        for task in tasks
        for own in task["startstops"]
        if own["action"] == "compute" and task["key"].rpartition("-")[2].isdigit()
    )
    point["bytes"] = sum(f.stat().st_size for f in Path(where).rglob("*") if f.is_file())
    return point


def measure_chains() -> list[Point]:
    """Sample data sets with several numbers of chains in this process, on one thread."""
    import infer
    from benchmarks.many_datasets import ENGINE, make_models, simulate

    models, points = make_models(simulate(CHAIN_SETS)), []
    for chains in CHAINS:
        each: list[Point] = []
        for _ in range(REPEATS + 1):
            point: Point = {"part": "chains", "sets": CHAIN_SETS, "chains": chains}
            with warnings.catch_warnings(), clock(point):
                warnings.simplefilter("ignore", infer.SamplingWarning)
                infer.sample(
                    models, ENGINE, chains=chains, draws=DRAWS, warmup=WARMUP, threads=1,
                    key=range(CHAIN_SETS), progress=False,
                )  # fmt: skip
            each.append(point)
        # The first one compiles.
        points.append(min(each[1:], key=lambda own: own["cpu"]))
    return points


class _BegunError(Exception):
    pass


def measure_beginning() -> list[Point]:
    """Do what the calling process does before the first task, for several numbers of data sets."""
    from unittest.mock import patch

    import jax
    import jax.numpy as jnp

    import infer
    from benchmarks.many_datasets import SIGMA, make_models, schools, simulate
    from infer.output.stored import shards

    def stack(data: Any) -> Any:
        first = infer.model(schools, sigma=SIGMA, y=data[0])
        return jax.vmap(lambda y: first.with_data(y=y))(jnp.asarray(data))

    points = []
    for kind, make in (("list", make_models), ("stack", stack)):
        # The first size is to compile.
        for sets in (BEGUN[0], *BEGUN):
            data, made, begun = simulate(sets), [], []
            for _ in range(2):
                first: Point = {"part": "make", "kind": kind, "sets": sets}
                second = first | {"part": "begin"}
                with clock(first):
                    models = make(data)
                with (
                    tempfile.TemporaryDirectory() as folder,
                    patch.object(shards, "sample_shard", side_effect=_BegunError),
                    clock(second),
                ):
                    _begin(models, f"{folder}/run.zarr", infer)
                made.append(first)
                begun.append(second)
            points += [best(made), best(begun)]
        points = points[: -2 * len(BEGUN) - 2] + points[-2 * len(BEGUN) :]
    return points


def _begin(models: Any, where: str, infer: Any) -> None:
    from benchmarks.many_datasets import ENGINE

    try:
        infer.sample(models, ENGINE, draws=DRAWS, warmup=WARMUP, store=where, progress=False)
    except _BegunError:
        return


def measure_commits() -> list[Point]:
    """Commit shards that are in the store, as the calling process does for a cluster."""
    import numpy as np

    from infer.output.stored.shards import _encode_keys as encode_keys
    from infer.output.stored.storing import open_new
    from infer.store.commits import Changes, commit, digest
    from infer.store.nested import encode

    names = [digest(str(i).encode()) for i in range(40)]
    points = []
    for keys in KEYS:
        drawn = np.random.default_rng(0).integers(2**32, size=(keys, 2)).astype(np.uint32)
        about = {"key": encode_keys(drawn)}
        for shards in COMMITTED:
            blocks = [{f"posterior/{n}/c/{i}": n for n in names} for i in range(shards)]
            with tempfile.TemporaryDirectory() as folder:
                files, record, each = open_new(f"{folder}/run.zarr"), None, []
                for i in range(2 * REPEATS):
                    point: Point = {"part": "commit", "keys": keys, "shards": shards}
                    with clock(point):
                        state = encode({}, {"done": i})
                        record = commit(files, record, Changes(state, i, blocks, {}, {}, about))
                    each.append(point)
            points.append(best(each))
    return points


def measure_tasks() -> list[Point]:
    """Hand out tasks that do nothing, with the data of a shard."""
    import numpy as np
    from distributed import Client, LocalCluster, as_completed  # pyright: ignore[reportMissingImports]

    data, points = np.zeros((256, 8)), []
    options: Any = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        for tasks in (TASKS[0], *TASKS):
            each: list[Point] = []
            for _ in range(REPEATS):
                point: Point = {"part": "task", "tasks": tasks}
                with clock(point):
                    made = [client.submit(np.shape, data, pure=False) for _ in range(tasks)]
                    for future in as_completed(made):
                        future.result()
                each.append(point)
            points.append(best(each))
    return points[1:]


def measure_bytes() -> list[Point]:
    """Write files of a shard durably, as a worker does, in four files each."""
    from infer.output.stored.storing import open_new

    points = []
    for size in BYTES:
        data, each = os.urandom(size // 4), []
        for _ in range(2 * REPEATS):
            point: Point = {"part": "bytes", "bytes": size}
            with tempfile.TemporaryDirectory() as folder:
                files = open_new(f"{folder}/run.zarr")
                with clock(point):
                    files.write({f"{i}": data for i in range(4)})
            each.append(point)
        points.append(best(each))
    return points


def measure_rows() -> list[Point]:
    """Time gradients of one and two devices with one thread each, and sums over the two."""
    import jax
    import numpy as np

    import infer

    # Makes two devices of the CPU.
    from benchmarks.devices import divide, logistic, simulate
    from infer.density.family import make_family
    from infer.density.points import evaluate_batch
    from infer.programs.native import call_compiled

    points = []
    for rows in ROWS:
        x, y = simulate(rows, COLUMNS, np.float32)
        models = [infer.model(logistic, x=x, y=y), divide(x, y)]
        for devices, model in enumerate(models, 1):
            family, at = make_family(model, jacobian=True), np.zeros((1, COLUMNS), np.float32)
            own = family.rows(np.zeros(1, int))
            call = partial(call_compiled, evaluate_batch, family.shared, own, at)
            points.append({"part": "rows", "rows": rows, "devices": devices} | _time(call))
    mesh = jax.make_mesh((2,), ("rows",))
    divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    total = jax.jit(lambda a: a.sum(0))
    for numbers in SUMMED:
        parts = jax.device_put(np.ones((2, numbers), np.float32), divided)
        points.append({"part": "sum", "bytes": 4 * numbers} | _time(partial(total, parts)))
    return points


def _time(call: Callable[[], Any]) -> Point:
    import jax

    jax.block_until_ready(call())
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - began)
    return {"seconds": min(taken), "median": statistics.median(taken)}


PARTS: dict[str, Callable[[], list[Point]]] = {
    "one": partial(measure_cluster, 1),
    "two": partial(measure_cluster, 2),
    "chains": measure_chains,
    "begin": measure_beginning,
    "commit": measure_commits,
    "task": measure_tasks,
    "bytes": measure_bytes,
    "rows": measure_rows,
}


def measure(parts: list[str]) -> list[Point]:
    """Measure some parts, each in a process of its own that compiles everything."""
    points: list[Point] = []
    for part in parts:
        flags = {"XLA_FLAGS": ONE_THREAD} if part == "rows" else {}
        own = os.environ | {"PUSHFORWARD_CACHE": "0", "PYTHONPATH": str(ROOT)} | flags
        own.pop("JAX_COMPILATION_CACHE_DIR", None)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.scale_measure", part],
            env=own, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        points += json.loads(done.stdout.splitlines()[-1])
        print(f"{part}: {time.perf_counter() - began:.0f} s", flush=True)
    return points


if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]]()))
