"""Time gradients of many rows on one and two devices of the CPU, and sums over the two.

Parts of `benchmarks/scale_measure.py`.
"""

import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

# Above 2,097,152 rows of a device, its temporary arrays get memory that the system clears.
ROWS, COLUMNS, CALLS = [400_000 * 2**i for i in range(6)], 10, 15
# With these variables, the C library of Linux (glibc) keeps what was used, however large it is.
KEEP_MEMORY = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)}
KEPT_ROWS = 3_200_000
SUMMED = (11, 1_000_000)
# One thread for each device, as if each device were a machine with one core.
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
Point = dict[str, Any]


def measure_rows() -> list[Point]:
    """Time gradients of one and two devices with one thread each, and sums over the two."""
    import jax
    import numpy as np

    points = [own for rows in ROWS for own in _time_gradients(rows, (1, 2))]
    mesh = jax.make_mesh((2,), ("rows",))
    divided = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    total = jax.jit(lambda a: a.sum(0))
    for numbers in SUMMED:
        parts = jax.device_put(np.ones((2, numbers), np.float32), divided)
        points.append({"part": "sum", "bytes": 4 * numbers} | _time(partial(total, parts)))
    return points


def measure_kept_rows() -> list[Point]:
    """Time gradients of one device in a process that keeps the memory of temporary arrays."""
    return [own | {"part": "kept"} for own in _time_gradients(KEPT_ROWS, (1,))]


def _time_gradients(rows: int, kinds: Sequence[int]) -> Iterator[Point]:
    """Time the gradient of so many rows on some numbers of devices."""
    import jax
    import numpy as np

    import infer

    # Makes two devices of the CPU.
    from benchmarks.devices import divide, logistic, simulate
    from infer.density.family import make_family
    from infer.density.points import evaluate_batch
    from infer.programs.native import call_compiled

    x, y = simulate(rows, COLUMNS, np.float32)
    for devices in kinds:
        model = divide(x, y) if devices > 1 else infer.model(logistic, x=x, y=y)
        family, at = make_family(model, jacobian=True), np.zeros((1, COLUMNS), np.float32)
        given = family.shared, family.rows(np.zeros(1, int)), at
        used: Any = jax.jit(evaluate_batch).lower(*given).compile().memory_analysis()
        point: Point = {"part": "rows", "rows": rows, "devices": devices}
        point["temporary"] = used.temp_size_in_bytes
        yield point | _time(partial(call_compiled, evaluate_batch, *given))


def _time(call: Callable[[], Any]) -> Point:
    """Time calls, and count the pages of memory that the system clears for one."""
    import jax

    def count() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    # The first call compiles; after it, the C library keeps some of the memory that it has got.
    for _ in range(2):
        jax.block_until_ready(call())
    taken, before = [], count()
    for _ in range(CALLS):
        began = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - began)
    pages = (count() - before) / CALLS
    return {"seconds": min(taken), "median": statistics.median(taken), "pages": pages}
