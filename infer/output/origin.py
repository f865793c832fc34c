"""The run that a result came from, as long as the result lives; no file keeps it."""

import weakref
from typing import Any

from ..errors import RunError
from ..run.run import Run

# For larger runs, keeping the draws in both the result and the run takes too much memory.
MAX_BYTES = 2**28

_runs: dict[int, Run] = {}


def remember_run(result: Any, run: Run) -> None:
    """Let `find_run` find the run of a result, until the result is gone."""
    blocks = (block for group in run.groups for own in group.rows for block in own)
    if sum(block.nbytes for block in blocks) > MAX_BYTES:
        return
    _runs[id(result)] = run
    weakref.finalize(result, _runs.pop, id(result), None).atexit = False


def find_run(given: Any) -> Run:
    """Return a run that is given, or the one that a result of `infer.sample` came from.

    Raises:
        RunError: No run is known for it.
    """
    if isinstance(given, Run):
        return given
    if id(given) not in _runs:
        raise RunError(
            "run",
            f"the run that this {type(given).__name__} came from is not at hand. Only the object "
            f"that infer.sample returned leads to it, not a copy of it or one read from a file, "
            f"and only if its run holds at most {MAX_BYTES // 2**20} MB",
            "Give that object, or a run: run = infer.start(model, ...).advance(draws).",
        )
    return _runs[id(given)]
