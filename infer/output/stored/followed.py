"""A stored run of several processes: the first one writes the store, and the others follow it.

If chains are divided among processes, the first one has all draws after each exchange. If rows are,
all make the same draws, and convert them together, since the programs of all are needed for that.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax

from ...density.family import make_family
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


class FollowedFiles(Files):
    """A store that another process writes, with what this one would have written.

    Args:
        files: The store.
    """

    def __init__(self, files: Files):
        self.where, self._files = files.where, files

    def read(self, key: str) -> bytes:
        return self._files.read(key)

    def list(self, folder: str) -> list[str]:
        return self._files.list(folder)

    def write(self, *groups: Mapping[str, bytes]) -> None:
        """Leave it to the other process."""

    def delete(self, keys: Iterable[str]) -> None:
        """Leave it to the other process."""


def choose_files(files: Files, processes: Processes) -> Files:
    """Return the store as this process writes it; of those with the same draws, one does."""
    return FollowedFiles(files) if processes.are_together and processes.index else files


def begin_together(run: Run, recorder: Recorder) -> None:
    """Commit what the other processes look for, and wait until all have found it.

    Raises:
        RunError: This process does not see the store.
    """
    processes = run.places.processes
    if processes.count == 1:
        return
    if processes.are_together or not processes.index:
        recorder.finish(run)
    processes.meet()
    if not recorder.files.list(FOLDER):
        raise RunError(
            recorder.files.where,
            f"process {jax.process_index()} does not see this store",
            "Give a path on a file system that all processes share, or a URL.",
        )


def follow_sample(run: Run, recorder: Recorder) -> Any:
    """Advance the chains that this process has of a run; return what the first one has stored."""
    begin_together(run, recorder)
    refuse_unless_reproduced(pursue_or_keep(run, make_goal(run, recorder)))
    run.places.processes.meet()
    data = read_data(recorder.files)
    remember_run(data, run)
    return data


@contextmanager
def locking_first(files: Files, model: Any, devices: Devices | None) -> Iterator[None]:
    """Keep other writers out of a store; of the processes that share a run, the first one does."""
    is_follower = jax.process_index() > 0 and (are_elsewhere(devices) or _has_rows_elsewhere(model))
    held = None if is_follower else files.lock()
    try:
        yield
    finally:
        if held is not None:
            held.close()


def _has_rows_elsewhere(model: Any) -> bool:
    shared = make_family(model, jacobian=False).shared
    return any(map(is_over_processes, jax.tree.leaves(shared)))
