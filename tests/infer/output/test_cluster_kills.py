"""Workers that are killed at random instants change no bit of what a cluster makes."""

import subprocess
import sys

import pytest

RUNS = 3
CODE = (
    "from benchmarks.cluster import main; print(main(n=600, runs={}, repeats=0, draws=20)['same'])"
)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing():
    pytest.importorskip("distributed", reason="the extra cluster is not installed")
    command = [sys.executable, "-c", CODE.format(RUNS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) == RUNS
