"""Compiled programs, kept on disk so that later processes load them instead of compiling again.

A file holds what JAX serializes of one executable. Its name is the hash of all that this depends
on: the program (as traced if `recalled` can say it exactly, otherwise as lowered), the options, the
versions, the device and the features of the processor.
Other files say what was found out about a model, such as the names of its executables (`outlined`).
JAX's own cache of compilations would also keep the programs of the user. If the user has turned it
on, it keeps ours too, and nothing is kept here: what JAX has loaded cannot be written again.
"""

import logging
import os
import pickle
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import is_dataclass
from functools import cache as remember
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import jax
import jaxlib
import platformdirs
from jax.experimental.serialize_executable import deserialize_and_load, serialize
from jax.tree_util import PyTreeDef

from .lapack import prepare_lapack
from .locations import drop_locations
from .used import Used, loading, used

VARIABLE = "PUSHFORWARD_CACHE"
OFF = ("0", "off", "false", "no")
# Bytes of all files together; the least recently used ones are deleted.
LIMIT = 2**30
# Programs that compile faster are not worth a file, which takes some milliseconds to load.
SHORTEST_SECONDS = 0.02
SUFFIX, DIGEST = ".executable", sha256().digest_size
# Files of what was found out about programs, a kilobyte each.
FOUND = ".found"
# Files that are being written; those of a process that was killed are left.
UNFINISHED = ".unfinished"
# Calls back into Python hold addresses of this process.
CALLBACK = "callback"
# Bytes that a process writes before it looks again for the oldest files.
LOOK_BYTES = 2**24
_log = logging.getLogger("infer")
_chosen: list[Path | None] = []
# What was found out in this process or by it, and how much it has written since it last looked.
_found_out: set[Path] = set()
_written: list[int] = [LOOK_BYTES]


class Executable(NamedTuple):
    """A compiled program, and whether it was loaded from disk."""

    call: Any
    is_loaded: bool


def cache(where: bool | str | os.PathLike = True) -> Path | None:
    """Choose whether compiled programs are kept on disk for later processes, and where.

    By default they are, in the user's own cache folder, up to 1 GiB; the environment variable
    PUSHFORWARD_CACHE=0 turns this off, and PUSHFORWARD_CACHE=/some/folder names another folder.
    A program is loaded only if nothing that it was compiled from has changed: the model and the
    shapes of its data, the versions of JAX, the device and the processor. The model is traced once
    to tell, and the map of its draws; if it has no minibatch, scan or sum over a discrete site, and
    no distribution, set or derivative of the user's own, nothing else is. A function of it must
    compute the same each time; if only its second call would show that it does not, that may stay
    unnoticed, as may functions of installed packages that a program replaces while it runs: turn it
    off. No model is recalled that reads files, the environment, the time or random numbers.
    The folder must belong to the user alone, since loading an executable runs it. The logger
    "infer" says at level DEBUG what was loaded. JAX's settings are not touched; if JAX has a cache
    of compilations (`jax_compilation_cache_dir`), that one is used instead.

    Args:
        where: False to turn it off, True for the default folder, or the path of a folder.

    Returns:
        The folder in use; None if it is off, or if the folder cannot be used, which is logged.
    """
    _chosen[:] = [_open(where)]
    return _chosen[0]


def _open(where: bool | str | os.PathLike) -> Path | None:
    """Make the folder, private to the user; None if that fails."""
    if where is False:
        return None
    try:
        named = platformdirs.user_cache_path("pushforward") if where is True else Path(where)
        folder = named.expanduser().absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except (OSError, RuntimeError) as error:  # The latter if the user has no home.
        _log.warning("compiled programs are not kept on disk: %s", error)
        return None
    if hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        _log.warning(
            "compiled programs are not kept on disk: others may write to %s. Take that right from "
            "them, or choose another folder by infer.cache(path).",
            folder,
        )
        return None
    return folder


def find_folder() -> Path | None:
    """Return the chosen folder; that of the environment or the default one if none is chosen."""
    if not _chosen:
        named = os.environ.get(VARIABLE, "")
        cache(False if named.lower() in OFF else named or True)
    return _chosen[0]


def find_described(described: str | None, options: dict[str, Any]) -> str | None:
    """Return the name of the file of what was traced; None if there is none.

    Args:
        described: Says what is compiled, as for `compile_or_load`.
        options: XLA's options.
    """
    path = None if described is None else _name_file((described,), options)
    return path.name if path is not None and os.path.isfile(path) else None


def compile_or_load(
    lowered: jax.stages.Lowered, options: dict[str, Any], described: str | None = None
) -> Executable:
    """Compile a program, or load it if an earlier process compiled the same one.

    Args:
        lowered: The program.
        options: XLA's options.
        described: Says exactly what was traced and how it is lowered; there is no such file, or it
            cannot be loaded. None if that cannot be said: the lowered program then names the file.

    Raises:
        jax.errors.JaxRuntimeError: XLA does not compile it.
    """
    if described is None:
        path = _find_path(lowered, options)
        trees = lowered.in_tree, lowered.out_tree
        if path is not None and (loaded := load(path.name, *trees)) is not None:
            return Executable(loaded, True)
    else:
        path = _name_file((described,), options)
    began = time.perf_counter()
    made = drop_locations(lowered).compile(options)
    if path is not None and time.perf_counter() - began >= SHORTEST_SECONDS:
        _save(path, lambda: serialize(made)[0])
        used.append(Used(path.name, made.in_tree.num_leaves, made.out_tree.num_leaves))
    return Executable(made, False)


def _find_path(lowered: jax.stages.Lowered, options: dict[str, Any]) -> Path | None:
    """Return the file of a program; None if it cannot have one."""
    # With this option of JAX, the text omits the arrays that a function closes over.
    if getattr(jax.config, "jax_use_simplified_jaxpr_constants", True) or not is_on():
        return None
    text, used = lowered.as_text(), _find_used(lowered)
    return None if CALLBACK in text or used is None else _name_file((text, used), options)


def is_on() -> bool:
    """Return whether programs are kept: an executable is bound to its device and loaded for all."""
    has_own = getattr(jax.config, "jax_compilation_cache_dir", None)
    return find_folder() is not None and not has_own and jax.device_count() == 1


def _name_file(program: tuple[str, ...], options: dict[str, Any]) -> Path | None:
    """Return the file of a program; None if none is kept."""
    folder = find_folder()
    if folder is None or not is_on():
        return None
    parts = (*program, repr(sorted(options.items())), *_describe_machine(),
             os.environ.get("XLA_FLAGS", ""))  # fmt: skip
    return folder / (sha256("\0".join(parts).encode()).hexdigest() + SUFFIX)


def _find_used(lowered: jax.stages.Lowered) -> str | None:
    """Return which arguments a program uses, and the types of all; None if that is unknown.

    The text does not tell, since it has only those that are used.
    """
    found = getattr(getattr(lowered, "_lowering", None), "compile_args", {}).get("kept_var_idx")
    kinds = [f"{leaf.dtype}{leaf.shape}" for leaf in jax.tree.leaves(lowered.args_info)]
    return None if found is None else f"{sorted(found)} of {kinds}"


@remember
def _describe_machine() -> tuple[str, ...]:
    """Describe the versions, the device and the processor, for which an executable is made."""
    device = jax.devices()[0]
    versions = jax.__version__, jaxlib.__version__, device.client.platform_version
    return (*versions, device.platform, device.device_kind, platform.machine(), _processor())


def _processor() -> str:
    """Return the features of the processor, or if they are not known the name of the machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.processor()} {platform.node()}"
    kinds = ("model name", "flags", "Features", "CPU part")
    found = "".join(sorted({line for line in lines if line.startswith(kinds)}))
    return found or f"{platform.processor()} {platform.node()}"


def load(name: str, in_tree: Any, out_tree: Any) -> Any:
    """Load an executable; None if there is none, or the file is damaged.

    Args:
        name: The name of its file.
        in_tree: The structure of the arguments, (positional, by name).
        out_tree: That of the results.
    """
    used.append(own := Used(name, in_tree.num_leaves, out_tree.num_leaves))
    if (ahead := loading.pop(own, None)) and (made := ahead.result()):
        return lambda *given: out_tree.unflatten(made(*jax.tree.leaves(given)))
    return load_now(name, in_tree, out_tree)


def load_now(name: str, in_tree: Any, out_tree: Any) -> Any:
    """Load an executable even if another thread is loading it; see `load`."""
    folder = find_folder()
    payload = None if folder is None else _read(folder / name)
    if payload is None:
        return None
    try:
        prepare_lapack(payload)
        made = deserialize_and_load(payload, in_tree, out_tree)
    except Exception as error:  # JAX raises what it likes, and compiling is always possible.
        _log.debug("a compiled program is not loaded: %r", error)
        return None
    _log.debug("a compiled program was loaded: %s", name)
    return made


def find_out(described: str | None) -> Any:
    """Return what an earlier process kept under a description; None if there is nothing."""
    path = None if described is None else _name_found(described)
    payload = None if path is None else _read(path)
    try:
        return None if payload is None else pickle.loads(payload)
    except Exception as error:  # As above.
        _log.debug("what was found out is not loaded: %r", error)
        return None


def keep(described: str | None, found: Any) -> None:
    """Keep what was found out, unless it is None, under all that it depends on; it is pickled."""
    if described is not None and found is not None and (path := _name_found(described)):
        _save(path, lambda: _pickle(found))


def _name_found(described: str) -> Path | None:
    path = _name_file((FOUND, described), {})
    if path is None:
        return None
    _found_out.add(path.with_suffix(FOUND))
    return path.with_suffix(FOUND)


def forget_found() -> None:
    """Delete what this process has found out, since a model computes other than its survey did."""
    while _found_out:
        with suppress(OSError):
            _found_out.pop().unlink(missing_ok=True)


class _Pickler(pickle.Pickler):
    """Pickles also structures of pytrees, and values without arrays that hold one."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, PyTreeDef):
            return jax.tree.structure, (number_leaves(value),)
        if "__reduce__" in vars(type(value)) and is_dataclass(value):
            return _rebuild, (type(value), dict(vars(value)))
        return NotImplemented


def _rebuild(kind: type, fields: dict[str, Any]) -> Any:
    value = object.__new__(kind)
    vars(value).update(fields)
    return value


def _pickle(value: Any) -> bytes:
    content = BytesIO()
    _Pickler(content).dump(value)
    return content.getvalue()


def number_leaves(structure: Any) -> Any:
    """Return a pytree of a structure, whose leaves are numbered."""
    return jax.tree.unflatten(structure, range(structure.num_leaves))


def _read(path: Path) -> bytes | None:
    """Read a file, which was used now; None if there is none, or it is damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, payload = content[:DIGEST], content[DIGEST:]
    if sha256(payload).digest() != digest:
        _log.warning("a compiled program on disk is damaged and is compiled again: %s", path)
        return None
    with suppress(OSError):
        os.utime(path)
    return payload


def _save(path: Path, make: Callable[[], bytes]) -> None:
    """Write a file beside its place and move it there, then delete the oldest ones."""
    try:
        payload = make()
        # Threads, and processes of other machines and containers, may write the same file.
        beside = path.with_suffix(f".{uuid4().hex}{UNFINISHED}")
        try:
            beside.write_bytes(sha256(payload).digest() + payload)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        _written[0] += len(payload)
        if _written[0] >= LOOK_BYTES:
            _written[0] = 0
            _delete_oldest(path.parent)
    except Exception as error:  # As above; and the disk may be full.
        _log.debug("a compiled program is not kept: %r", error)


def _delete_oldest(folder: Path) -> None:
    """Delete the least recently used files beyond the limit."""
    files = [p for end in (SUFFIX, FOUND, UNFINISHED) for p in folder.glob(f"*{end}")]
    found = []
    for file in files:
        with suppress(FileNotFoundError):  # Another process deletes them, too.
            found.append((file.stat(), file))
    total = 0
    for stat, file in sorted(found, key=lambda pair: pair[0].st_mtime, reverse=True):
        total += stat.st_size
        if total > LIMIT:
            file.unlink(missing_ok=True)
