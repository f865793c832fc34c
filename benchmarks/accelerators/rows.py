"""Measure one row in a process of its own: compile, wait for the device, then warm up and draw."""

import json
import os
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

RHAT, DRAWS = 1.01, 10_000
# A row may compile for this many times the seconds that it may use the device.
COMPILING = 6.0
PRINT = sys.stdout.write


class Row(NamedTuple):
    """What is measured; of `kind` "rows" are seconds of gradients of a large regression.

    Attributes:
        kind: "sampling" or "rows".
        model: Name of a model.
        sampler: Name of a sampler.
        chains: Number of chains.
        size: Rows of the data, for `kind` "rows".
    """

    kind: str
    model: str
    sampler: str
    chains: int
    size: int = 0

    def __str__(self) -> str:
        return f"{self.model}, {self.sampler}, {self.chains:,} chains"


def measure(
    row: Row, limit: float, alone: AbstractContextManager[None], draws: int = DRAWS
) -> dict[str, Any]:
    """Measure a row, using the device for `limit` seconds at most.

    Args:
        row: The row.
        limit: Seconds.
        alone: Waits for the device, and holds it.
        draws: Effective draws that are wanted.
    """
    import jax

    # NVIDIA's GPUs otherwise round factors of products of float32 to 10 bits.
    jax.config.update("jax_default_matmul_precision", "highest")
    if row.kind == "rows":
        from .many_rows import measure_rows

        return measure_rows(row.size, row.chains, alone)
    from .models import CASES
    from .samplers import SAMPLERS, choose_chunk, pose

    problem, chunk = pose(CASES[row.model], row.chains), choose_chunk(row.chains)
    sampler = SAMPLERS[row.sampler](problem, chunk)
    # Compile what looks at draws, before the device is held.
    sampler.read(np.zeros((row.chains, chunk, problem.points.shape[1]), np.float32))
    with alone:
        return _sample(sampler, limit, draws)


def _sample(sampler: Any, limit: float, draws: int) -> dict[str, Any]:
    """Warm up, then draw until the draws suffice; only this counts, not looking at R-hat."""
    from .quality import judge

    made: list[Any] = []
    began = time.perf_counter()
    sampler.warm_up()
    seconds = warm = time.perf_counter() - began - getattr(sampler, "again", 0.0)
    while True:
        began, before = time.perf_counter(), sampler.executed
        positions = sampler.draw()
        seconds += time.perf_counter() - began
        made.append(sampler.read(positions))
        quality = judge(np.concatenate(made, axis=1))
        reached = quality.rhat <= RHAT and quality.ess >= draws
        # LAPS has no more draws.
        if reached or seconds > 0.6 * limit or sampler.executed == before:
            break
    return {
        "seconds": seconds, "warmup": warm, "compile": sampler.compiling, "reached": reached,
        "rhat": quality.rhat, "ess": quality.ess, "waste": sampler.executed / sampler.used,
        "memory": peak_memory(), "kernels": getattr(sampler, "kernels", None),
    }  # fmt: skip


def peak_memory() -> int:
    """Return the largest number of bytes used on the device; on a CPU, of the process."""
    import jax

    stats = jax.devices()[0].memory_stats() or {}
    on_host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(stats.get("peak_bytes_in_use", on_host))


@contextmanager
def use_alone(lock: Path, limit: float, compiling: threading.Timer) -> Iterator[None]:
    """Use the device alone, and end the process after `limit` seconds.

    A compiled program cannot be interrupted. The lock ends with the process that holds it.
    """
    import fcntl

    compiling.cancel()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        timer = end_after(limit, "more than its share of the device's time")
        try:
            yield
        finally:
            timer.cancel()


def end_after(limit: float, why: str) -> threading.Timer:
    """End this process after `limit` seconds, with a reason as its result."""

    def end() -> None:
        PRINT(json.dumps({"failed": f"{why}, {limit:.0f} s"}) + "\n")
        sys.stdout.flush()
        os._exit(0)

    timer = threading.Timer(limit, end)
    timer.daemon = True
    timer.start()
    return timer


def main(text: str) -> None:
    """Measure the row that a JSON text describes, and print the result as one line."""
    asked = json.loads(text)
    row = Row(**asked["row"])
    timer = end_after(COMPILING * asked["limit"] + 30, "compiling took too long")
    try:
        alone = use_alone(Path(asked["lock"]), asked["limit"], timer)
        found = measure(row, asked["limit"], alone, asked["draws"])
    except Exception as error:
        found = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    timer.cancel()
    PRINT(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
