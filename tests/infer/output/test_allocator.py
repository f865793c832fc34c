"""A worker of Dask reuses freed memory while it samples, and returns it afterwards."""

import os
import subprocess
import sys
from unittest.mock import Mock

import pytest

from infer.output.stored import allocator

# Prints the page faults of 50 arrays of 1 MiB: as Dask starts a worker, in a shard, and after it.
CODE = """
import resource, runpy, sys
reusing = runpy.run_path(sys.argv[1])["reusing_memory"]
def count():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        bytearray(2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
found = [count()]
with reusing():
    found.append(count())
print(*found, count())
"""


@pytest.mark.skipif(allocator._find_library() is None, reason="the C library is not glibc")
def test_a_worker_of_dask_reuses_memory_in_a_shard():
    command = [sys.executable, "-c", CODE, allocator.__file__]
    environment = {**os.environ, allocator.VARIABLE: "65536"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    before, within, after = map(int, done.stdout.split())
    assert 10 * within < before
    assert 10 * within < after


@pytest.mark.parametrize(
    ("asked", "has_glibc"), [(None, True), ("", True), ("65536", False)], ids=str
)
def test_other_processes_keep_their_settings(asked, has_glibc, monkeypatch):
    library = Mock()
    monkeypatch.setattr(allocator, "_find_library", lambda: library if has_glibc else None)
    monkeypatch.delenv(allocator.VARIABLE, raising=False)
    if asked is not None:
        monkeypatch.setenv(allocator.VARIABLE, asked)
    with allocator.reusing_memory():
        pass
    assert not library.mock_calls
