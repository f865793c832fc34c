"""A stored run of several processes: the first one writes the store, and the others follow it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from ...errors import RunError
from ...models.inputs.sharded import is_over_processes
from ...run.placing import Devices, are_elsewhere
from ...run.processes import Processes
from ...run.run import Run
from ...run.self_check import refuse_unless_reproduced
from ...store.commits import FOLDER
from ...store.files import Files
from ...store.recorder import Recorder
from ..advance.goal import pursue_or_keep
from ..data.origin import remember_run
from .opened import read_data
from .recorded_goal import make_goal


def let_others_begin(processes: Processes, write: Callable[[], None]) -> None:
    """Write what the other processes look for, and wait until they are there."""
    if processes.count > 1:
        write()
        processes.meet()


def follow_sample(run: Run, recorder: Recorder) -> Any:
    """Advance what this process has of a run, and return what the first one has stored.

    Raises:
        RunError: This process does not see the store.
    """
    run.places.processes.meet()
    if not recorder.files.list(FOLDER):
        raise RunError(
            recorder.files.where,
            f"process {jax.process_index()} does not see this store",
            "Give a path on a file system that all processes share, or a URL.",
        )
    refuse_unless_reproduced(pursue_or_keep(run, make_goal(run, recorder)))
    run.places.processes.meet()
    data = read_data(recorder.files)
    remember_run(data, run)
    return data


@contextmanager
def locking_first(files: Files, model: Any, devices: Devices | None) -> Iterator[None]:
    """Keep other writers out of a store; of the processes that share a run, the first one does."""
    are_several = are_elsewhere(devices) or any(map(is_over_processes, jax.tree.leaves(model)))
    held = None if are_several and jax.process_index() else files.lock()
    try:
        yield
    finally:
        if held is not None:
            held.close()
