"""Measure what `benchmarks/scale_model.py` needs, each part in processes of its own.

    python -m benchmarks.scale_measure PART

prints the points of one part as JSON. Every cost is measured at several sizes, so that what is paid
once can be told from what each data set, row or byte costs.
"""

import contextlib
import json
import os
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

from benchmarks import scale_measure_rows as many_rows
from benchmarks.scale_measure_rows import Point

ROOT = Path(__file__).parents[1]
REPEATS = 3
# Data sets of a call on a cluster; the first call compiles. At most 512 are sampled 16 at a time.
FIRST, ONE_WORKER, TWO_WORKERS = 64, (128, 512, 768), (256, 768, 1024)
IDLE_SECONDS = 2.0
DRAWS, WARMUP = 200, 40
CHAIN_SETS, CHAINS = 64, (2, 4, 8)
# More than are sampled without shards.
BEGUN = (1000, 3000, 9000)
KEYS, COMMITTED = (10_000, 100_000, 300_000), (1, 8)
# Shards of a call, and how many are gathered at once.
SHARD, GATHERED = 256, ((4, 1), (12, 1), (12, 12), (36, 12))
TASKS = (100, 300, 900)
BYTES = (2**22, 2**24, 2**25)


@contextmanager
def clock(point: Point) -> Iterator[None]:
    """Put seconds and processor time of what is inside into a point."""
    began, cpu = time.perf_counter(), time.process_time()
    yield
    point |= {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def best(points: list[Point]) -> Point:
    """Return the point of the shortest repeat: other work on the machine only adds time."""
    return min(points, key=lambda own: own["seconds" if "seconds" in own else "cpu"])


def measure_first(workers: int) -> list[Point]:
    """Start workers of one thread each, and make the first call of all processes."""
    point: Point = {"part": "start", "workers": workers}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        with clock(point):
            client = stack.enter_context(_start_workers(workers))
        return [point, _call_cluster(client, workers, FIRST, folder + "/run") | {"part": "first"}]


def measure_loading() -> list[Point]:
    """Import on a worker what its first task imports, and see what Dask does when nobody asks."""
    idle: Point = {"part": "idle"}
    with _start_workers(1) as client:
        with clock(idle):
            time.sleep(IDLE_SECONDS)
        (point,) = client.run(_import_all).values()
    return [point | {"part": "load"}, idle]


def _import_all() -> Point:
    began, cpu = time.perf_counter(), time.process_time()
    import benchmarks.many_datasets
    import infer.output.stored.shard_task

    del benchmarks, infer
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def measure_cluster(workers: int) -> list[Point]:
    """Sample data sets again and again on workers that have compiled."""
    points = []
    with tempfile.TemporaryDirectory() as folder, _start_workers(workers) as client:
        call = partial(_call_cluster, client, workers)
        call(FIRST, f"{folder}/first")
        for sets in (FIRST, *(ONE_WORKER if workers == 1 else TWO_WORKERS)):
            each = [call(sets, f"{folder}/{sets}-{i}") for i in range(REPEATS)]
            points.append(best(each) | {"part": "cluster"})
    return points


@contextmanager
def _start_workers(workers: int) -> Iterator[Any]:
    from distributed import Client, LocalCluster  # pyright: ignore[reportMissingImports]

    options: Any = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        client.wait_for_workers(workers)
        yield client


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


def measure_gathering() -> list[Point]:
    """Let a call gather shards that its workers have written, one or several in a commit."""
    from unittest.mock import patch

    from benchmarks.cluster import sample
    from benchmarks.many_datasets import make_models, simulate
    from infer.output.stored import shards
    from infer.store.commits import digest

    points: list[Point] = []

    def repeat(call: Any) -> Iterator[list[Any]]:
        """Sample one shard, and say that all others came out the same."""
        parts = list(call._list_parts())
        first = shards.sample_shard(call.job, parts[0])
        hashes = {key: digest(data) for key, data in first.chunks.items() if type(data) is bytes}
        point["began"] = time.process_time()
        for own in range(0, len(parts), point["together"]):
            yield [
                first._replace(begin=part.begin, chunks={f"{key}-{part.begin}": own
                                                         for key, own in hashes.items()})
                for part in parts[own : own + point["together"]]
            ]  # fmt: skip

    for count, together in GATHERED:
        models = make_models(simulate(SHARD * count))
        for _ in range(2):
            point: Point = {"part": "gather", "shards": count, "together": together}
            with (
                tempfile.TemporaryDirectory() as folder,
                patch.object(shards._Sharded, "_sample", repeat),
            ):
                sample(models, f"{folder}/run.zarr", DRAWS)
            point["cpu"] = time.process_time() - point.pop("began")
            points.append(point)
    return [best(points[i : i + 2]) for i in range(0, len(points), 2)]


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


PARTS: dict[str, Callable[[], list[Point]]] = {
    "load": measure_loading,
    "first one": partial(measure_first, 1),
    "first two": partial(measure_first, 2),
    "one": partial(measure_cluster, 1),
    "two": partial(measure_cluster, 2),
    "chains": measure_chains,
    "begin": measure_beginning,
    "commit": measure_commits,
    "gather": measure_gathering,
    "task": measure_tasks,
    "bytes": measure_bytes,
    "rows": many_rows.measure_rows,
    "kept": many_rows.measure_kept_rows,
}
# Parts that are measured several times, since a process imports and compiles only once.
IN_NEW_PROCESSES = {"load", "first one", "first two"}


def measure(parts: list[str]) -> list[Point]:
    """Measure some parts, each in processes of its own that import and compile everything."""
    points: list[Point] = []
    for part in parts:
        began = time.perf_counter()
        runs = [_measure_apart(part) for _ in range(REPEATS if part in IN_NEW_PROCESSES else 1)]
        points += map(best, map(list, zip(*runs, strict=True)))
        print(f"{part}: {time.perf_counter() - began:.0f} s", flush=True)
    return points


def _measure_apart(part: str) -> list[Point]:
    flags = {"XLA_FLAGS": many_rows.ONE_THREAD} if part in ("rows", "kept") else {}
    flags |= many_rows.KEEP_MEMORY if part == "kept" else {}
    own = os.environ | {"PUSHFORWARD_CACHE": "0", "PYTHONPATH": str(ROOT)} | flags
    own.pop("JAX_COMPILATION_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scale_measure", part],
        env=own, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(PARTS[sys.argv[1]]()))
