"""What a worker of a cluster runs: it samples one shard and writes its chunks into the store.

The chunks have keys that depend on nothing but the number of the shard, and the reply has their
SHA-256. So a task that is repeated, because its worker was lost, replaces files by the same ones.
"""

import pickle
import platform
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple
from uuid import uuid4

import jax

from ...errors import ExplainedError, RunError, collecting_warnings
from ...programs.switch import is_native_allowed, native
from ...store.commits import digest
from ...store.files import Files, open_files
from ..data.provenance import find_version
from .allocator import reusing_memory
from .shard import Job, Part, Shard, sample_shard

LIBRARIES = ("pushforward", "jax", "jaxlib", "numpy")
# Threads that unpickled a job at the same time would have two, and compile twice.
_loading = Lock()


class Call(NamedTuple):
    """What a worker must know of a call.

    Attributes:
        job: What all shards have in common, pickled: it may be read only under the settings.
        where: Absolute path or URL of the store.
        name: Key of a file that is in the store while the call is going on.
        settings: Settings of JAX, by name.
        is_native: Whether programs may be compiled in the native form.
        versions: Versions of libraries on which the last digits of draws depend.
        first: Number of the first data set that is missing; its shard says how arrays are laid out.
    """

    job: bytes
    where: str
    name: str
    settings: dict[str, Any]
    is_native: bool
    versions: dict[str, str]
    first: int


class Reply(NamedTuple):
    """What a task returns: a shard, or an error that would come again if the task were repeated.

    Attributes:
        shard: The shard.
        said: What was warned of, with its category.
        error: The error.
    """

    shard: Shard | None
    said: Sequence[tuple[str, type[Warning]]] = ()
    error: ExplainedError | None = None


def list_packages() -> dict[str, str]:
    """List the versions of what changes the last digits of draws, and of Python."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python} | {n: find_version(n) for n in LIBRARIES}


def run_shard(payload: bytes, part: Part) -> Reply:
    """Sample a shard and write its chunks; this is what a worker runs."""
    try:
        with collecting_warnings() as said, reusing_memory():
            return Reply(_run(pickle.loads(payload), part), said)
    except ExplainedError as error:
        return Reply(None, error=error)


def _load(job: bytes) -> Job:
    """Unpickle once in each process, so that shards and later calls share compiled programs."""
    with _loading:
        return _load_once(job)


@lru_cache(4)
def _load_once(job: bytes) -> Job:
    return pickle.loads(job)


def _run(call: Call, part: Part) -> Shard:
    _refuse_other_versions(call)
    for name, value in call.settings.items():
        if getattr(jax.config, name) != value:
            jax.config.update(name, value)
    if is_native_allowed() != call.is_native:
        native(call.is_native)
    # Two processes may write the same shard, if one only seems to be lost.
    files = open_files(call.where, f".{uuid4().hex}")
    _refuse_unless_going_on(files, call.name)
    job = _load(call.job)
    shard = sample_shard(job, part)
    if shard.begin != call.first:
        shard = shard._replace(growing=None)
    _refuse_unless_going_on(files, call.name)
    if shard.sets < job.size:
        return shard
    chunks = {key: data for key, data in shard.chunks.items() if isinstance(data, bytes)}
    files.write(chunks)
    return shard._replace(chunks={key: digest(data) for key, data in chunks.items()})


def _refuse_other_versions(call: Call) -> None:
    here = list_packages()
    other = [f"{n} {v} (there {here[n]})" for n, v in call.versions.items() if here[n] != v]
    if other:
        raise RunError(
            "client",
            f"worker {platform.node()} has other versions than {', '.join(other)}",
            "Draws would depend on who makes them: install the same versions on all workers.",
        )


def _refuse_unless_going_on(files: Files, name: str) -> None:
    try:
        files.read(name)
    except FileNotFoundError:
        raise RunError(
            files.where,
            f"worker {platform.node()} does not see this store, or the call has ended",
            "Give a path on a file system that all workers share, or a URL such as s3://...",
        ) from None
