"""A run in the background is looked at, paused, extended and stopped, and loses nothing."""

import contextlib
import copy
import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
import weakref
from threading import Event, Timer

import numpy as np
import pytest

import infer
from infer.output.advance.worker import Worker
from infer.run.progress import Progress

from .. import targets

OPTIONS = {"chains": 2, "warmup": 40, "key": 5, "progress": False}


def start():
    return infer.start(targets.normal(), infer.NUTS(), **OPTIONS)


@pytest.fixture(scope="module")
def straight():
    return np.asarray(infer.to_arviz(start().advance(60)).posterior["x"])


@pytest.fixture
def gate(monkeypatch):
    """Let blocks of the background pass, or hold them until the gate is opened."""
    gate, counted = Gate(), Progress.update

    def update(self, *arguments):
        going_on = counted(self, *arguments)
        gate.wait_for_made(self.status.phase, int(self.status.draws.min()))
        return going_on

    monkeypatch.setattr(Progress, "update", update)
    monkeypatch.setattr("infer.run.collect.BLOCK_SECONDS", 0.0)
    yield gate
    gate.open()


class Gate:
    """Holds the chains once they have a number of draws in a phase."""

    def __init__(self):
        self.phase, self.draws = "", 0
        self.reached, self.opened = Event(), Event()
        self.opened.set()

    def close_at(self, phase, draws):
        self.reached.clear()
        self.opened.clear()
        self.phase, self.draws = phase, draws

    def open(self):
        self.phase = ""
        self.opened.set()

    def wait_for_made(self, phase, draws):
        if phase == self.phase and draws >= self.draws:
            self.reached.set()
            assert self.opened.wait(100)


def test_the_background_makes_what_sample_makes(straight):
    handle = infer.sample_in_background(start(), 60)
    data = handle.wait()
    assert handle.state == "finished"
    np.testing.assert_array_equal(data.posterior["x"], straight)
    assert "verdict" in data.attrs
    assert "sampling: " in repr(handle)
    assert "finished" in repr(handle)
    assert "<td>60</td>" in handle._repr_html_()


def test_a_paused_run_stands_still_and_resumes_with_the_same_draws(gate, straight):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)
    handle._worker.state = "paused"
    gate.open()
    handle.pause()
    assert handle.state == "paused"
    assert handle._worker.thread is None
    made = handle.run.fewest()
    assert 5 <= made < 60
    assert handle.inspect().posterior.sizes["draw"] == made
    with pytest.raises(infer.RunError, match="paused, so it never finishes"):
        handle.wait()
    np.testing.assert_array_equal(handle.resume().wait().posterior["x"], straight)


def test_a_pause_in_warmup_changes_no_draw(gate, straight):
    gate.close_at("warm-up", 3)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)
    handle._worker.state = "paused"
    gate.open()
    handle.pause()
    with pytest.raises(infer.RunError, match="it is in warm-up, after 0 of up to 40 draws"):
        handle.inspect()
    np.testing.assert_array_equal(handle.resume().wait().posterior["x"], straight)


def test_draws_are_inspected_while_the_thread_goes_on(gate, straight):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)
    seen = np.asarray(handle.inspect().posterior["x"])
    assert handle.state == "running"
    assert 5 <= seen.shape[1] < 60
    np.testing.assert_array_equal(seen, straight[:, : seen.shape[1]])
    gate.open()
    handle.wait()


def test_a_run_is_extended_while_it_runs_and_after_it_has_finished(gate, straight):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 20)
    assert gate.reached.wait(100)
    handle.extend(10)
    gate.open()
    assert handle.wait().posterior.sizes["draw"] == 30
    np.testing.assert_array_equal(handle.extend(30).wait().posterior["x"], straight)


def test_a_stopped_run_keeps_its_draws_and_only_the_run_goes_on(gate, straight):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)
    handle._worker.state = "stopped"
    gate.open()
    handle.stop()
    assert 5 <= handle.wait().posterior.sizes["draw"] < 60
    for call in (handle.resume, lambda: handle.extend(3)):
        with pytest.raises(infer.RunError, match="stopped for good"):
            call()
    handle.run.advance(60 - handle.run.fewest())
    np.testing.assert_array_equal(infer.to_arviz(handle.run).posterior["x"], straight)


def test_stretches_change_no_draw(monkeypatch, straight):
    monkeypatch.setattr("infer.output.advance.worker.STRETCH_SECONDS", 0.0)
    monkeypatch.setattr("infer.run.collect.BLOCK_SECONDS", 0.0)
    handle = infer.sample_in_background(start(), 60)
    np.testing.assert_array_equal(handle.wait().posterior["x"], straight)


def test_an_error_of_the_thread_is_logged_and_raised_by_the_next_call(monkeypatch, caplog):
    def fail(*_):
        raise ZeroDivisionError("in the thread")

    monkeypatch.setattr(infer.NUTS, "end_window", fail)
    with caplog.at_level(logging.ERROR, "infer"):
        handle = infer.sample_in_background(start(), 60)
        with pytest.raises(ZeroDivisionError, match="in the thread"):
            handle.wait()
    assert handle.state == "failed"
    for call in (handle.pause, handle.resume, handle.inspect, handle.stop, handle.wait):
        with pytest.raises(ZeroDivisionError):
            call()
    with pytest.raises(ZeroDivisionError):
        handle.extend(1)
    assert "the run in the background failed: ZeroDivisionError" in caplog.text


def test_an_error_while_the_caller_waits_for_a_pause_is_raised_there(gate, monkeypatch):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)

    def fail(*_):
        raise ZeroDivisionError("in the thread")

    monkeypatch.setattr("infer.run.collect.Group.absorb", fail)
    Timer(0.1, gate.open).start()
    with pytest.raises(ZeroDivisionError, match="in the thread"):
        handle.pause()
    assert (handle.state, handle._worker.thread) == ("failed", None)


@pytest.mark.parametrize("ask", ["wait", "pause", "stop"])
def test_ctrl_c_interrupts_the_caller_alone(gate, straight, ask):
    """The thread is held in a block, so that the caller waits for it."""
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)
    Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        getattr(handle, ask)()
    assert handle.state == {"wait": "running", "pause": "paused", "stop": "stopped"}[ask]
    assert handle._worker.thread is not None
    if ask == "pause":
        # At once, while the thread has not ended yet.
        handle.resume()
    gate.open()
    found = handle.wait().posterior["x"]
    assert found.shape[1] == 60 or ask == "stop"
    np.testing.assert_array_equal(found, straight[:, : found.shape[1]])


def test_waiting_can_time_out_and_the_run_goes_on(gate):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 60)
    assert gate.reached.wait(100)
    with pytest.raises(TimeoutError, match=r"not finished after 0\.01 s"):
        handle.wait(timeout=0.01)
    for timeout in ("1", -1, float("nan"), True):
        with pytest.raises(infer.RunError, match="timeout: .* was given"):
            handle.wait(timeout)
    gate.open()
    assert handle.wait().posterior.sizes["draw"] == 60


def test_a_deleted_handle_stops_its_thread(gate):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), 10**9)
    assert gate.reached.wait(100)
    worker, thread, lost = handle._worker, handle._worker.thread, weakref.ref(handle)
    del handle
    gc.collect()
    assert lost() is None
    gate.open()
    thread.join(100)
    assert not thread.is_alive()
    assert worker.state == "stopped"


def test_sampling_until_a_target_in_the_background_can_be_extended_once_it_is_reached():
    until = infer.Until(ess=300)
    handle = infer.sample_in_background(start(), until=until)
    data = handle.wait()
    assert data.attrs["until_reached"] == 1
    more = handle.extend(5).wait()
    assert more.posterior.sizes["draw"] == data.posterior.sizes["draw"] + 5


def test_an_unreached_target_cannot_be_extended(gate):
    gate.close_at("sampling", 5)
    handle = infer.sample_in_background(start(), until=infer.Until(ess=1e9))
    assert gate.reached.wait(100)
    with pytest.raises(infer.RunError, match="a target that it has not reached"):
        handle.extend(5)
    handle._worker.abandon()


def test_what_cannot_run_in_the_background_is_refused():
    with pytest.raises(infer.RunError, match=r"Model was given.*infer\.start"):
        infer.sample_in_background(targets.normal())
    search = infer.start(targets.normal(), infer.MAP("unconstrained"), chains=1, progress=False)
    with pytest.raises(infer.EngineError, match="not a sampler"):
        infer.sample_in_background(search)
    with pytest.raises(infer.CallError, match="infer.sample_in_background"):
        infer.start(targets.normal(), background=True)


def test_one_thread_at_a_time_advances_a_run(gate, straight):
    gate.close_at("sampling", 5)
    run = start()
    handle = infer.sample_in_background(run, 60)
    assert gate.reached.wait(100)
    for call in (lambda: infer.sample_in_background(run, 10), lambda: run.advance(1), run.warm_up):
        with pytest.raises(infer.RunError, match="run: another thread is advancing it"):
            call()
    handle._worker.state = "paused"
    gate.open()
    handle.pause()
    second = infer.sample_in_background(run, 60 - run.fewest())
    with contextlib.suppress(infer.RunError):
        # It depends on timing whether the second thread is still at work.
        handle.resume()
    np.testing.assert_array_equal(second.wait().posterior["x"][:, :60], straight)


def test_a_finished_run_can_be_stopped_for_good():
    handle = infer.sample_in_background(start(), 5)
    handle.wait()
    assert handle.pause().state == "finished"
    assert handle.stop().state == "stopped"
    assert handle.wait().posterior.sizes["draw"] == 5
    with pytest.raises(infer.RunError, match="stopped for good"):
        handle.extend(1)


def test_a_handle_is_no_run_and_is_not_copied():
    handle = infer.sample_in_background(start(), 5)
    with pytest.raises(infer.RunError, match=r"BackgroundRun was given.*handle\.inspect"):
        infer.to_arviz(handle)
    for call in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(infer.RunError, match=r"belongs to a thread.*handle\.run\.state"):
            call(handle)


def test_a_run_that_has_draws_gets_as_many_more():
    handle = infer.sample_in_background(start().advance(10), 5)
    assert handle.wait().posterior.sizes["draw"] == 15


def test_no_bar_is_shown_in_a_terminal_where_somebody_may_type(monkeypatch):
    from infer.output.advance import worker

    run = start()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert worker._choose_view(run) is False
    run.progress = None
    assert worker._choose_view(run) is False
    run.progress = True
    assert worker._choose_view(run) is True
    assert isinstance(Worker(run, None).status.table(), list)


EXIT = """
import sys, time, infer
sys.path.insert(0, {root!r})
from tests.infer import targets
run = infer.start(targets.normal(), infer.NUTS(), warmup=40, key=5)
handle = infer.sample_in_background(run, 10**9)
paused = infer.sample_in_background(
    infer.start(targets.normal(), infer.NUTS(), warmup=40, key=6), 10**9
).pause()
while not run.fewest():
    time.sleep(0.01)
print(handle.state, paused.state, "at exit")
"""


@pytest.mark.slow
def test_python_exits_while_a_run_goes_on_and_another_is_paused():
    root = os.path.join(os.path.dirname(__file__), *[".."] * 3)
    done = subprocess.run(
        [sys.executable, "-c", EXIT.format(root=root)], capture_output=True, text=True,
        timeout=200, env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert done.stdout.strip() == "running paused at exit"
    assert (done.returncode, done.stderr) == (0, "")
