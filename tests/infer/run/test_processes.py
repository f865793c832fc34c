"""Processes that share the chains or the rows of a run have its draws, and go on with its store."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import jax
import numpy as np
import pytest

from infer.errors import RunError
from infer.output.stored.opened import read_newest
from infer.run import processes
from infer.run.chains import make_groups
from infer.run.pace import Pace
from infer.run.processes import Processes
from infer.store.files import open_files

from . import on_devices, on_processes
from .in_threads import call_on_two

# Groups of a store that have a number for each draw.
DRAWN = ("posterior", "sample_stats")
# Largest change of a draw by another order of the sum over rows, enlarged by trajectories.
ENLARGED = 1e-8


def make_chains(count):
    states = {"position": np.zeros((count, 2))}
    return make_groups(np.zeros((count, 2), np.uint32), states, 1)


def advance(group, draws):
    """Let the chain of a group have draws that hold its index."""
    group.rows[0].append(np.full((draws, 3), float(group.chains.start)))
    group.state = jax.tree.map(lambda a: a + group.chains.start, group.state)
    group.drawn = group.drawn + draws
    group.executed = group.executed + 7


def test_after_an_exchange_all_processes_have_the_same_chains(monkeypatch):
    each = [make_chains(3), make_chains(3)]

    def call(index):
        shared = Processes(2, index)
        for draws in (4, 2):
            before = [group.drawn for group in each[index]]
            for group in shared.choose(each[index]):
                advance(group, draws)
            shared.exchange(each[index], before, (np.ones(2), 100))

    assert call_on_two(monkeypatch, call) == [None, None]
    for groups in each:
        for chain, group in enumerate(groups):
            assert (np.concatenate(group.rows[0]) == chain).all()
            assert group.drawn == 6
            assert group.executed == 14
            np.testing.assert_array_equal(jax.tree.leaves(group.state)[0], 2 * chain)


def test_processes_that_learn_different_tunings_are_refused(monkeypatch):
    each = [make_chains(2), make_chains(2)]

    def call(index):
        before = [group.drawn for group in each[index]]
        Processes(2, index).exchange(each[index], before, np.full(2, 1.0 + index * 1e-16 * 4))

    for error in call_on_two(monkeypatch, call):
        assert "processes: they have learned different tunings. All must run" in str(error)


def test_the_draws_between_exchanges_follow_the_seconds_that_they_took():
    pace = Pace()
    for made, seconds, found in ((16, 8.0, 2), (2, 0.0, 8), (8, 0.5, 16), (16, 99.0, 1)):
        pace.update(made, seconds)
        assert pace.draws == found


@pytest.mark.parametrize("size", [0, 1, processes.SHORT, processes.SHORT + 1, 5000])
def test_a_message_comes_whole_whatever_its_length(size):
    data = bytes(np.arange(size) % 256)
    assert processes.gather(data) == [data]


def test_all_follow_the_first_process(monkeypatch):
    heard = [None, None]

    def call(index):
        heard[index] = Processes(2, index).follow(index == 0)

    assert call_on_two(monkeypatch, call) == [None, None]
    assert heard == [True, True]
    assert Processes().follow("alone") == "alone"


def find(monkeypatch, places, owners=(0, 0, 1, 1), index=1):
    devices = [Mock(id=i, process_index=owner) for i, owner in enumerate(owners)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setattr(jax, "process_count", lambda: max(owners) + 1)
    monkeypatch.setattr(jax, "process_index", lambda: index)
    return processes.find_processes(places)


@pytest.mark.parametrize(
    ("places", "found"),
    [
        ((), Processes()),
        (((2,), (3,)), Processes()),
        (((0,), (1,), (2,), (3,)), Processes(2, 1)),
        (((0, 1), (2, 3)), Processes(2, 1)),
        (((0, 2), (1, 3)), Processes(2, 1, are_together=True)),
    ],
)
def test_places_tell_whether_processes_share_chains_or_rows(monkeypatch, places, found):
    assert find(monkeypatch, places) == found


@pytest.mark.parametrize(
    ("places", "message"),
    [
        (((0,), (1,)), "none of them belongs to process 1. Give jax.devices(), or jax.local"),
        (((0, 1), (1, 2)), "some places are on one process and some on several"),
    ],
)
def test_places_that_cannot_be_shared_are_refused(monkeypatch, places, message):
    with pytest.raises(RunError, match=re.escape(message)):
        find(monkeypatch, places)


def begin_processes(part, *store, count=2):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.infer.run.on_processes", port]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    cache = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return [
        subprocess.Popen(
            [*command, str(i), str(count), part, *store], env=os.environ | cache, **options
        )
        for i in range(count)
    ]


def run_processes(part, *store, count=2):
    both = begin_processes(part, *store, count=count)
    # All at once: at its end each waits for the others, which wait until their output is read.
    with ThreadPoolExecutor(count) as readers:
        told = list(readers.map(lambda own: own.communicate(timeout=200)[0], both))
    return [json.loads(own.splitlines()[-1]) for own in told]


@pytest.fixture(scope="module")
def alone():
    """The run of one process."""
    return run_processes("chains", count=1)[0]


def read_chunks(where):
    """Return the files of a store that hold draws, by path."""
    every = [file for group in DRAWN for file in (where / group).glob("*/c/**/*")]
    return {str(file.relative_to(where)): file.read_bytes() for file in every if file.is_file()}


@pytest.mark.slow
def test_chains_over_two_processes_have_the_draws_of_one(alone):
    assert run_processes("chains") == [alone, alone]


@pytest.mark.slow
def test_a_store_has_the_same_files_however_many_processes_made_them(alone, tmp_path):
    one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
    both = run_processes("noted", str(two))
    wrote = [{key for key in own.pop("wrote") if key.startswith(DRAWN)} for own in both]
    assert both == [alone, alone]
    assert run_processes("chains", str(one), count=1) == [alone]
    chunks = read_chunks(one)
    assert len(chunks) > 5
    assert read_chunks(two) == chunks
    # Each wrote some of them, and only the first one the metadata.
    first, second = ({key for key in own if key in chunks} for own in wrote)
    assert first | second == chunks.keys()
    assert first - second
    assert wrote[1] == second


def kill_one(part, *given, who=1):
    """Begin two processes, one of which kills itself; end the other, which has lost it."""
    both = begin_processes(part, *given)
    with contextlib.ExitStack() as stack:
        stack.callback(both[1 - who].kill)
        assert both[who].wait(timeout=200) == -signal.SIGKILL
    both[1 - who].wait()


@pytest.mark.slow
def test_a_run_goes_on_after_a_process_was_killed(alone, tmp_path):
    where = tmp_path / "run.zarr"
    kill_one("killed", str(where))
    shutil.copytree(where, tmp_path / "copy.zarr")
    assert run_processes("resumed", str(where)) == [alone, alone]
    # And on one process.
    assert run_processes("resumed", str(tmp_path / "copy.zarr"), count=1) == [alone]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("who", "step", "count"),
    [(0, r"\.intent$", 1), (0, "/c/", 1), (1, "/c/", 2), (0, r"^zarr\.json$", 2)],
    ids=["after the intent", "in the first's chunks", "in the second's", "before the record"],
)
def test_a_run_goes_on_after_a_process_was_killed_in_a_commit(alone, tmp_path, who, step, count):
    where = str(tmp_path / "run.zarr")
    kill_one("killed_in_commit", where, str(who), step, who=who)
    begun = read_newest(open_files(where))
    assert begun.draws < on_processes.DRAWS
    assert [name for name in open_files(where).list("run") if name.endswith("intent")]
    assert run_processes("resumed", where, count=count) == [alone] * count


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1])
def test_an_interrupt_of_one_process_lets_all_return_the_same_draws(alone, tmp_path, who):
    where = str(tmp_path / "run.zarr")
    first, second = run_processes("interrupted", where, str(who))
    assert first == second
    made = read_newest(open_files(where)).draws
    assert 0 < made < on_processes.DRAWS
    assert first["draws"] == [own[:made] for own in alone["draws"]]
    assert run_processes("resumed", where) == [alone, alone]


@pytest.mark.slow
def test_all_processes_say_that_one_could_not_write(tmp_path):
    first, second = run_processes("full", str(tmp_path / "run.zarr"))
    assert first == second
    found = (
        r"a commit could not be written \(process 1: .* No space left on device\); commit \d+ is"
    )
    assert re.search(found, first["error"])


@pytest.mark.slow
def test_rows_over_two_processes_have_the_draws_of_one_but_for_rounding():
    model = on_devices.infer.model(on_devices.logistic, x=on_devices.X, y=on_devices.Y)
    one = on_devices.draws_of(on_devices.begin(model, None))
    told = run_processes("rows")
    assert told[0] == told[1]
    assert len(told[0]["places"][0]) == 2
    np.testing.assert_allclose(told[0]["run"], one, atol=ENLARGED)
    assert not {"observed_data", "constant_data"} & set(told[0]["groups"])


@pytest.mark.slow
def test_a_run_of_divided_rows_goes_on_after_a_process_was_killed(tmp_path):
    undisturbed = run_processes("rows_stored", str(tmp_path / "whole.zarr"))
    where = str(tmp_path / "run.zarr")
    kill_one("rows_killed", where)
    begun = read_newest(open_files(where))
    assert 0 < begun.draws < begun.about["draws"]
    told = run_processes("rows_resumed", where)
    assert told == undisturbed
    assert told[0] == told[1]


@pytest.mark.slow
def test_a_search_for_the_mode_of_divided_rows_is_stored(tmp_path):
    model = on_devices.infer.model(on_devices.logistic, x=on_devices.X, y=on_devices.Y)
    one = on_devices.infer.maximize(model, on_devices.infer.MAP("unconstrained"), starts=2)
    first, second = run_processes("modes_stored", str(tmp_path / "mode.zarr"))
    assert first == second
    assert first["mode"] == first["again"]
    np.testing.assert_allclose(first["mode"], one.values["slope"], rtol=1e-6)


@pytest.mark.slow
def test_a_mistake_on_several_processes_is_explained():
    first, second = run_processes("mistakes")
    assert "they were given different arguments" in first["other data"]
    assert "none of them belongs to process 1" in second["one process"]
    assert "checks take the time of each process" in first["until"]
    assert "several processes share it" in first["background"]
