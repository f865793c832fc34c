"""Files that several processes write together: all hold the same chunks, and each writes some.

A commit is made by all at the same time. In each step of it every process writes its own files, and
all meet before the next one begins, so that the protocol of `commits.py` holds as for one process.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from ..errors import RunError
from ..run.processes import Processes
from .commits import FOLDER
from .files import Files, Lock
from .growing import METADATA

SHARE_PATH = "Give a path on a file system that all processes share, or a URL."


def deal_out(sizes: Mapping[str, int], count: int) -> list[set[str]]:
    """Divide files among processes, so that each writes about as many bytes.

    The largest come first, each to the process that has the fewest bytes so far. In case of doubt
    that is the last of them, because the first one also writes what is not dealt out.

    Args:
        sizes: Number of bytes of each file, by key.
        count: Number of processes.

    Returns:
        The keys of each process. They depend on nothing but the arguments.

    Source: R. L. Graham (1969), "Bounds on multiprocessing timing anomalies", theorem 2.
    """
    shares: list[set[str]] = [set() for _ in range(count)]
    loads = [0] * count
    for key in sorted(sizes, key=lambda own: (-sizes[own], own)):
        least = min(range(count), key=lambda i: (loads[i], -i))
        shares[least].add(key)
        loads[least] += sizes[key]
    return shares


class SharedFiles(Files):
    """A store to which several processes write the same files, each its own share.

    Chunks are dealt out. The first process writes everything else: the state, metadata and records,
    which say how long things took and so differ among processes.

    Args:
        files: The store, as one process writes it.
        processes: The processes, all of which make the same calls.
    """

    def __init__(self, files: Files, processes: Processes):
        self.where, self._files, self._processes = files.where, files, processes
        self._is_seen = False

    def read(self, key: str) -> bytes:
        return self._files.read(key)

    def list(self, folder: str) -> list[str]:
        return self._files.list(folder)

    def write(self, *groups: Mapping[str, bytes]) -> None:
        """Write groups of files, as all processes give them.

        Raises:
            OSError: A process could not write a file; all say so.
            RunError: The processes give different chunks, or one does not see the store.
        """
        chunks = {key: data for group in groups for key, data in group.items() if is_chunk(key)}
        self._processes.refuse_unlike(
            [*groups[0], *(part for key in sorted(chunks) for part in (key, chunks[key]))],
            "they would store different draws",
        )
        sizes = {key: len(data) for key, data in chunks.items()}
        own = deal_out(sizes, self._processes.count)[self._processes.index]
        # Only chunks have several writers; between groups without them there is no need to meet.
        for _, step in groupby(groups, lambda group: any(map(is_chunk, group))):
            self._write_together([self._choose(group, own) for group in step])

    def _choose(self, group: Mapping[str, bytes], own: set[str]) -> dict[str, bytes]:
        is_first = self._processes.is_first
        return {k: data for k, data in group.items() if (k in own if is_chunk(k) else is_first)}

    def _write_together(self, groups: Sequence[Mapping[str, bytes]]) -> None:
        """Write what this process has of one step, and wait until all have written theirs."""
        error = ""
        try:
            if any(groups):
                self._files.write(*groups)
        except Exception as found:
            error = str(found) or type(found).__name__
        for index, told in enumerate(self._processes.tell(error.encode())):
            if told:
                raise OSError(f"process {index}: {told.decode()}")
        if not self._is_seen:
            self._refuse_unseen()
            self._is_seen = True

    def _refuse_unseen(self) -> None:
        """Raise unless all processes find what the first one has written."""
        seen = self._processes.tell(b"seen" if self.list(FOLDER) else b"")
        if not all(seen):
            found = f"process {seen.index(b'')} does not see this store"
            raise RunError(self.where, found, SHARE_PATH)

    def delete(self, keys: Iterable[str]) -> None:
        if self._processes.is_first:
            self._files.delete(keys)

    def lock(self) -> Lock:
        """Let the first process keep other writers out; if it cannot, all say so."""
        held, error = Lock(None), None
        if self._processes.is_first:
            try:
                held = self._files.lock()
            except (RunError, OSError) as found:
                error = found
        if (told := self._processes.follow(error)) is not None:
            raise told
        return held


def is_chunk(key: str) -> bool:
    """Return whether a file of a store is a chunk of an array."""
    return "/c/" in key and not key.endswith(METADATA)


def share_files(files: Files, processes: Processes) -> Files:
    """Return the files as the processes of a run write them."""
    return SharedFiles(files, processes) if processes.count > 1 else files
