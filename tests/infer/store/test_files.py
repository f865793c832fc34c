"""What is written is durable, with every folder on the way to it."""

import os
from pathlib import Path

import pytest

from infer.store import files as store_files
from infer.store.files import LocalFiles


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names descriptors by /proc")
def test_a_write_synchronizes_every_file_and_every_folder_that_changed(tmp_path, monkeypatch):
    synchronized, fsync = set(), os.fsync

    def note(descriptor):
        synchronized.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    root = tmp_path.resolve() / "run.zarr"
    LocalFiles(str(root)).write({f"x/c/{i}": b"%d" % i for i in range(20)} | {"zarr.json": b"{}"})
    files = [root / "zarr.json", *(root / f"x/c/{i}" for i in range(20))]
    folders = [root.parent, root, root / "x", root / "x/c"]
    assert synchronized == {f"{path}.unfinished" for path in files} | {str(f) for f in folders}
    assert [path.read_bytes() for path in files[1:]] == [b"%d" % i for i in range(20)]


def test_a_group_is_durable_before_a_file_of_the_next_one_is_replaced(tmp_path, monkeypatch):
    made, fsync, replace = [], os.fsync, os.replace

    def note(descriptor):
        made.append("fsync")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", lambda a, b: (made.append(Path(b).name), replace(a, b)))
    LocalFiles(str(tmp_path)).write({"a": b"", "b": b""}, {"c": b""})
    # The first folders are the store and the one that holds it.
    assert made == [*["fsync"] * 3, "a", "b", *["fsync"] * 2, "c", "fsync"]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="names descriptors by /proc")
@pytest.mark.parametrize("same", [True, False], ids=["same process", "next process"])
def test_names_of_folders_become_durable_after_a_write_that_failed(tmp_path, monkeypatch, same):
    root, fsync, synchronized = tmp_path.resolve() / "a/run.zarr", os.fsync, set()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    def note(descriptor):
        synchronized.add(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    files = LocalFiles(str(root))
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        files.write({"x/c": b""})
    monkeypatch.setattr(os, "fsync", note)
    (files if same else LocalFiles(str(root))).write({"x/c": b""})
    folders = [root.parent, root, root / "x", *([tmp_path.resolve()] if same else [])]
    assert {str(folder) for folder in folders} <= synchronized


def test_a_write_that_fails_replaces_nothing_and_leaves_nothing_behind(tmp_path, monkeypatch):
    files, written = LocalFiles(str(tmp_path)), []
    files.write({"a": b"old", "b": b"old"})

    def fail(descriptor):
        written.append(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        files.write({"a": b"new", "b": b"new"})
    assert written
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


def test_files_are_written_when_no_thread_can_begin(tmp_path, monkeypatch):
    """As when the main thread has ended, and another one still samples."""

    def refuse(*arguments):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(store_files, "ThreadPoolExecutor", refuse)
    LocalFiles(str(tmp_path)).write({"a": b"1", "x/b": b"2"})
    assert (tmp_path / "x" / "b").read_bytes() == b"2"
