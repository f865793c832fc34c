"""Files by key, each replaced as a whole: in a local folder, or at a URL of fsspec."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import RunError

# A file that is being written; no reader looks for it.
UNFINISHED = ".unfinished"
# Files that are synchronized at the same time. The system makes them durable together: 100 files of
# 256 kB took 0.03 s, and one after the other 0.4 s.
AT_ONCE = 16


class Lock:
    """A locked file descriptor, or none."""

    def __init__(self, descriptor: int | None):
        self._descriptor = descriptor

    def close(self) -> None:
        """Release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Files(ABC):
    """Bytes by key; keys are paths with forward slashes, relative to the store.

    Attributes:
        where: The path or URL of the store.
    """

    where: str

    @abstractmethod
    def read(self, key: str) -> bytes:
        """Return the bytes of a key.

        Raises:
            FileNotFoundError: There is no such key.
        """

    @abstractmethod
    def write(self, *groups: Mapping[str, bytes]) -> None:
        """Write groups of files; each file is replaced at once, and in the given order.

        A group is durable before a file of the next one is replaced, and all are on return.

        Raises:
            OSError: A file could not be written, as on a full disk.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Delete files; missing ones are ignored."""

    @abstractmethod
    def list(self, folder: str) -> list[str]:
        """List the names of the files in a folder; none if there is no such folder."""

    def refuse_unwritable(self) -> None:
        """Raise if it can be seen, before a run, that nothing can be written.

        Raises:
            RunError: The folder cannot be made, or the user may not write to it.
        """
        return

    def lock(self) -> Lock:
        """Keep other writers out until the returned object is closed, if the system can.

        Raises:
            RunError: Another process writes to this store.
        """
        return Lock(None)


class LocalFiles(Files):
    """A folder: files are written beside, synchronized and renamed.

    Args:
        where: Path of the folder.
        writer: Part of the names of unfinished files, if several processes may write the same one.
    """

    def __init__(self, where: str, writer: str = ""):
        self.where, self.root = where, Path(where)
        self._ending = writer + UNFINISHED
        # Folders with names that may not be durable, and those whose own names have been seen to.
        self._unsynchronized: set[Path] = set()
        self._made: set[Path] = set()

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()

    def write(self, *groups: Mapping[str, bytes]) -> None:
        paths = {self.root / key: data for files in groups for key, data in files.items()}
        try:
            for folder in {path.parent for path in paths}:
                self._make(folder)
            # All at once: waiting for the disk takes longer than writing to it.
            _call_at_once(lambda path: _write_durably(self._beside(path), paths[path]), paths)
            for files in groups:
                own = [self.root / key for key in files]
                for path in own:
                    os.replace(self._beside(path), path)
                self._synchronize_names({path.parent for path in own})
        except BaseException:
            for path in paths:
                with suppress(OSError):
                    self._beside(path).unlink(missing_ok=True)
            raise

    def _beside(self, path: Path) -> Path:
        return path.with_name(path.name + self._ending)

    def _make(self, folder: Path) -> None:
        """Make a folder and those above it that are missing.

        A folder of the store that is there may have been made by a process that was killed before
        its name was durable.
        """
        own = [
            f for f in (folder, *folder.parents) if f.is_relative_to(self.root) or not f.is_dir()
        ]
        folder.mkdir(parents=True, exist_ok=True)
        self._unsynchronized |= {f.parent for f in own if f not in self._made}
        self._made |= set(own)

    def _synchronize_names(self, folders: set[Path]) -> None:
        """Make the names in these folders durable, and what earlier writes left."""
        self._unsynchronized |= folders
        _call_at_once(_synchronize, self._unsynchronized)
        self._unsynchronized.clear()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.root / key).unlink(missing_ok=True)

    def list(self, folder: str) -> list[str]:
        path = self.root / folder
        names = os.listdir(path) if path.is_dir() else []
        return [name for name in names if not name.endswith(UNFINISHED)]

    def refuse_unwritable(self) -> None:
        whole = self.root.absolute()
        there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
        if os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK):
            return
        found = "may not be written to" if os.path.isdir(there) else "is a file, not a folder"
        found = found if os.path.exists(there) else "is a link to nothing"
        raise RunError(self.where, f"{there} {found}", "Give a path in a folder of yours.")

    def lock(self) -> Lock:
        try:
            import fcntl
        except ImportError:
            # Windows has none.
            return Lock(None)
        self.root.mkdir(parents=True, exist_ok=True)
        held = os.open(self.root, os.O_RDONLY)
        try:
            # The system releases the lock when the process ends, however it ends.
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
            raise RunError(
                self.where,
                "another process is writing to this store",
                "Wait for it, or stop it; infer.open reads a store that is being written.",
            ) from None
        return Lock(held)


class UrlFiles(Files):
    """An object store, which replaces an object at once and has no rename."""

    def __init__(self, where: str):
        try:
            import fsspec
        except ImportError:
            raise RunError(
                where, "a URL needs fsspec, which is not installed", "pip install fsspec"
            ) from None
        self.where = where
        try:
            self.system, self.root = fsspec.core.url_to_fs(where)
        except (ImportError, ValueError) as error:
            raise RunError(
                where,
                f"fsspec cannot open this URL: {error}",
                "Correct it, or install its package.",
            ) from error

    def read(self, key: str) -> bytes:
        return self.system.cat_file(f"{self.root}/{key}")

    def write(self, *groups: Mapping[str, bytes]) -> None:
        for files in groups:
            for key, data in files.items():
                self.system.pipe_file(f"{self.root}/{key}", data)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            with suppress(FileNotFoundError):
                self.system.rm_file(f"{self.root}/{key}")

    def list(self, folder: str) -> list[str]:
        self.system.invalidate_cache()
        try:
            found = self.system.ls(f"{self.root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return [str(path).rstrip("/").rpartition("/")[2] for path in found]


def open_files(where: Any, writer: str = "") -> Files:
    """Return the files at a path or a URL; `writer` as for `LocalFiles`.

    Raises:
        RunError: It is neither, or fsspec cannot open it.
    """
    path = os.fsdecode(where) if isinstance(where, str | os.PathLike) else ""
    if not path or "\0" in path:
        raise RunError("store", f"{where!r} is no path", 'Give a path, such as "run.zarr".')
    where = path
    if where.startswith("file://"):
        return LocalFiles(where.removeprefix("file://"), writer)
    return UrlFiles(where.rstrip("/")) if "://" in where else LocalFiles(where, writer)


def _call_at_once(call: Callable[[Path], None], paths: Collection[Path]) -> None:
    """Call a function for each path, on threads; all calls have ended on return.

    The calls must do no harm if they are repeated.
    """
    try:
        with ThreadPoolExecutor(min(AT_ONCE, len(paths) or 1), "files") as pool:
            list(pool.map(call, paths))
    except RuntimeError:
        # No thread can begin once the main thread has ended and the interpreter exits.
        for path in paths:
            call(path)


def _write_durably(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _synchronize(folder: Path) -> None:
    """Make the names in a folder durable; Windows cannot open a folder."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
