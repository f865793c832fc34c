"""Shards of data sets as tasks of a Dask cluster, whose workers write draws into one store.

Dask repeats the task of a worker that is lost; `shard_task.py` says why that changes nothing. The
process that made the call commits the shards in order, so a store never has one without those
before it.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any
from uuid import uuid4

import jax
from tqdm import tqdm

from ...errors import RunError, warn
from ...programs.switch import is_native_allowed
from ...run.views import LogView, NoView, choose_view
from ...store.commits import CALL, FOLDER
from ...store.files import Files, LocalFiles
from .shard import Job, Part, Shard
from .shard_task import Call, Reply, list_packages, run_shard

# Tasks with the cluster at the same time: for each thread of its workers, and at least.
AHEAD, LEAST = 3, 4
# How often Dask repeats a task that raised, as if a disk was out of reach for a moment.
RETRIES = 2
# Settings of JAX on which the numbers depend.
SETTINGS = ("jax_enable_x64", "jax_default_matmul_precision")
_log = logging.getLogger("infer")


def refuse_unless_client(client: Any) -> None:
    """Raise unless this is a client of a Dask cluster that can be used now.

    Raises:
        RunError: It is not; or Dask is not installed.
    """
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]
    except ImportError:
        found = "a cluster needs the packages dask and distributed, which are not installed"
        raise RunError("client", found, 'pip install "pushforward[cluster]"') from None
    make = "Give client=dask.distributed.Client(address)"
    if not isinstance(client, Client):
        raise RunError("client", f"it is a {type(client).__name__}", f"{make}.")
    if client.asynchronous:
        raise RunError("client", "it is asynchronous", f"{make}, without asynchronous=True.")
    if client.status != "running":
        raise RunError("client", f"it is {client.status}, not running", f"{make} of a new client.")


def refuse_unlike_shards(is_stored: bool, sets: int, given: Sequence[str]) -> None:
    """Raise unless the arguments of a call suit a cluster, which samples data sets into a store.

    Args:
        is_stored: Whether the call has a store.
        sets: Number of data sets.
        given: Names of arguments that a cluster does not take.
    """
    if not is_stored:
        raise RunError(
            "client",
            "a cluster writes draws into a store, and none is given",
            "Give store=, a path that all workers see or a URL.",
        )
    if sets < 2:
        raise RunError(
            "client",
            "a cluster shares out data sets, and there is one",
            "Give several models, or leave out client=; chains are spread over local devices.",
        )
    if given:
        found = "it cannot be combined with client=, which samples each data set for itself"
        raise RunError(given[0], found, f"Leave out {given[0]}= or client=.")


class Cluster:
    """Workers that sample the shards of one call into its store.

    Args:
        client: A client of the cluster.
        files: The store.
        job: What all shards have in common.
        done: Number of data sets that the store has already.

    Raises:
        RunError: The model or the engine cannot be pickled.
    """

    def __init__(self, client: Any, files: Files, job: Job, done: int) -> None:
        self._client, self._files, self._done = client, files, done
        self._is_shown = not isinstance(choose_view(job.progress), NoView | LogView)
        self._name = f"{CALL}{uuid4().hex}"
        self._payload = _pack(job, files, f"{FOLDER}/{self._name}", done)

    def sample(self, parts: Iterator[Part], sets: int) -> Iterator[list[Shard]]:
        """Yield shards in order, as they are complete and in the store.

        Args:
            parts: What each has of its own, in order.
            sets: Number of data sets of the call.

        Raises:
            RunError: A worker cannot write to the store, or has other versions; a task fails each
                time; or the connection is lost.
            ExplainedError: As `start` does, for the models of a shard.
        """
        # Workers that still write for a call that was killed stop there.
        stale = [own for own in self._files.list(FOLDER) if own.startswith(CALL)]
        self._files.delete(f"{FOLDER}/{own}" for own in stale)
        # The first file stays, so that the path is known to be ours if nothing is ever committed.
        self._files.write({f"{FOLDER}/begun": b"{}", f"{FOLDER}/{self._name}": b"{}"})
        how = {"unit": " data sets", "disable": not self._is_shown}
        tasks = _Tasks(self._client, self._payload, self._name, parts)
        try:
            with tqdm(total=sets, initial=self._done, **how) as bar:
                yield from _in_order(tasks, self._done, bar)
        finally:
            tasks.cancel()
            self._files.delete([f"{FOLDER}/{self._name}"])


def _pack(job: Job, files: Files, name: str, first: int) -> bytes:
    """Pickle what workers must know of a call.

    Raises:
        RunError: It cannot be pickled.
    """
    import cloudpickle  # A requirement of Dask.

    where = str(files.root.absolute()) if isinstance(files, LocalFiles) else files.where
    settings = {key: getattr(jax.config, key) for key in SETTINGS}
    try:
        own = cloudpickle.dumps(job._replace(threads=job.threads or 1, progress=False))
        call = Call(own, where, name, settings, is_native_allowed(), list_packages(), first)
        return cloudpickle.dumps(call)
    except Exception as error:
        raise RunError(
            "model",
            f"it cannot be sent to other processes ({type(error).__name__}: {error})",
            "A program may use functions, modules and arrays, but no locks, open files or "
            "generators; the same holds for the engine.",
        ) from error


class _Tasks:
    """The tasks of a call: some are with the cluster, and the others wait here."""

    def __init__(self, client: Any, payload: bytes, name: str, parts: Iterator[Part]) -> None:
        from distributed import as_completed  # pyright: ignore[reportMissingImports]

        self.client, self._name, self._parts = client, name, parts
        # A task of its own, so that each worker gets it once, and Dask makes it again if all who
        # had it are lost.
        self._call = client.submit(_keep, payload, key=f"pushforward-{self._name}")
        self._waiting = as_completed()
        # Which worker each task that is with the cluster was meant for, by its first data set.
        self._meant: dict[int, str] = {}
        self.threads = 0

    def __iter__(self) -> Iterator[dict[int, Reply]]:
        """Yield the replies that have come, by their first data set, until there are none left.

        After a failure, only the tasks that are with the cluster already are waited for.
        """
        self._submit()
        has_failed = False
        while self._waiting.count():
            replies = dict(map(_read, self._waiting.next_batch(block=True)))
            for begin in replies:
                self._meant.pop(begin, None)
            has_failed |= any(reply.error is not None for reply in replies.values())
            if not has_failed:
                self._submit()
            yield replies

    def _submit(self) -> None:
        """Give tasks to the cluster, which may have grown: enough to keep all its threads busy."""
        threads = self.client.nthreads()
        self.threads = sum(threads.values())
        room = max(LEAST, AHEAD * self.threads) - self._waiting.count()
        for part in islice(self._parts, max(room, 0)):
            how: dict[str, Any] = {"key": f"pushforward-{self._name}-{part.begin}"}
            if worker := self._find_least_busy(threads):
                # Dask alone would often send all to the worker that has the call. It may still
                # move a task to a worker that is idle, or if this one is lost.
                how |= {"workers": [worker], "allow_other_workers": True}
                self._meant[part.begin] = worker
            task = self.client.submit(run_shard, self._call, part, retries=RETRIES, **how)
            self._waiting.add(task)

    def _find_least_busy(self, threads: Mapping[str, int]) -> str | None:
        """Return the address of the worker with the fewest tasks for each of its threads."""
        tasks, able = Counter(self._meant.values()), [own for own in threads if threads[own]]
        return min(able, key=lambda own: tasks[own] / threads[own], default=None)

    def cancel(self) -> None:
        """Cancel what is still with the cluster."""
        self.client.cancel([*self._waiting.futures, self._call])


def _keep(payload: bytes) -> bytes:
    return payload


def _read(future: Any) -> tuple[int, Reply]:
    """Return the number of the first data set of a task, and its reply."""
    begin = int(future.key.rpartition("-")[2])
    try:
        return begin, future.result()
    except Exception as error:
        failed = RunError(
            "client",
            f"the task of the data sets from {begin} on failed ({type(error).__name__}: {error})",
            "What was committed is safe. When the cluster is well, go on from there: "
            "infer.resume(store, models, client=client).",
        )
        failed.__cause__ = error
        return begin, Reply(None, error=failed)


def _in_order(tasks: _Tasks, begin: int, bar: Any) -> Iterator[list[Shard]]:
    """Yield shards in the order of data sets, as many as there are; give each warning once.

    Raises:
        ExplainedError: A task failed, once all shards before its own have been yielded.
    """
    early: dict[int, Reply] = {}
    said: dict[Any, None] = {}
    if not tasks.client.nthreads():
        _log.warning("the cluster has no workers yet; the call waits for them")
    for replies in tasks:
        bar.set_description(f"{tasks.threads} threads", refresh=False)
        early |= replies
        bar.update(sum(reply.shard.sets for reply in replies.values() if reply.shard))
        for warning in (own for reply in replies.values() for own in reply.said):
            if warning not in said:
                warn(*warning)
            said[warning] = None
        ready = []
        while begin in early and (shard := early[begin].shard):
            ready.append(shard)
            del early[begin]
            begin += shard.sets
        if ready:
            yield ready
        if begin in early and (error := early[begin].error):
            raise error
