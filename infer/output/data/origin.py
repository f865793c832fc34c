"""The run that a result came from, as long as the result exists in memory."""

import weakref
from itertools import accumulate
from typing import Any

from ...errors import RunError
from ...run.run import Run

# For larger runs, keeping the draws in both the result and the run would take too much memory.
MAX_BYTES = 2**28

_runs: dict[int, Run] = {}


def remember_run(result: Any, run: Run) -> None:
    """Let `find_run` find the run of a result, until the result is deleted."""
    blocks = (block for group in run.groups for own in group.rows for block in own)
    if any(total > MAX_BYTES for total in accumulate(block.nbytes for block in blocks)):
        return
    _runs[id(result)] = run
    weakref.finalize(result, _runs.pop, id(result), None).atexit = False


def pass_run_on(given: Any, extended: Any) -> None:
    """Let `find_run` find the run of a result for another one with the same draws."""
    if id(given) in _runs:
        remember_run(extended, _runs[id(given)])


def refuse_unless_run(given: Any) -> None:
    """Raise if something is not a run.

    Raises:
        RunError: It is not.
    """
    if not isinstance(given, Run):
        raise RunError(
            "run",
            f"{type(given).__name__} was given",
            "Make a run: run = infer.start(model, ...); that of a handle is handle.run, and "
            "handle.inspect() gives its draws.",
        )


def find_run(given: Any) -> Run:
    """Return a run as it is, or the run that a result of `infer.sample` came from.

    Raises:
        RunError: The run of the result is not known.
    """
    if isinstance(given, Run):
        return given
    if id(given) not in _runs:
        raise RunError(
            "run",
            f"the run that made this {type(given).__name__} is not known. Only the object that "
            "infer.sample returned leads to its run, not a copy or one read from a file, and only "
            f"if the run holds at most {MAX_BYTES // 2**20} MB",
            "Give that object, or a run: run = infer.start(model, ...).advance(draws).",
        )
    return _runs[id(given)]
