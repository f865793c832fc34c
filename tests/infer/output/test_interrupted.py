"""An interrupted call loses nothing: its exception keeps the run and goes on with the call."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import infer
from infer.output import result
from infer.run import collect

from .. import targets

OPTIONS = {"chains": 2, "warmup": 40, "draws": 30, "key": 5, "threads": 1, "progress": False}


def interrupt_after(blocks, patch):
    """Raise KeyboardInterrupt once, after a number of blocks of one draw or so."""
    absorb, absorbed = collect.Group.absorb, []

    def counting(self, *arguments):
        absorbed.append(absorb(self, *arguments))
        if len(absorbed) == blocks:
            raise KeyboardInterrupt
        return absorbed[-1]

    patch.setattr(collect, "BLOCK_SECONDS", 0.0)
    patch.setattr(collect.Group, "absorb", counting)


def interrupted(blocks, call):
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(blocks, patch)
        with pytest.raises(infer.Interrupted) as caught:
            call()
    return caught.value


def test_an_interrupt_in_warmup_keeps_the_run_and_resumes_with_the_same_draws():
    sample = lambda: infer.sample(targets.normal(), infer.NUTS(), **OPTIONS)  # noqa: E731
    error = interrupted(5, sample)
    assert isinstance(error, KeyboardInterrupt)
    assert isinstance(error.run, infer.Run)
    assert re.match(
        r"infer.sample was interrupted in warm-up, after \d+ of up to 40 draws", str(error)
    )
    assert "sys.last_value.resume()" in str(error)
    resumed, straight = error.resume(), sample()
    np.testing.assert_array_equal(resumed.posterior["x"], straight.posterior["x"])
    assert resumed.attrs["verdict"] == straight.attrs["verdict"]


def test_a_resumed_call_can_be_interrupted_again():
    error = interrupted(3, lambda: infer.sample(targets.normal(), infer.NUTS(), **OPTIONS))
    error = interrupted(3, error.resume)
    assert error.resume().posterior.sizes["draw"] == OPTIONS["draws"]


def test_an_interrupt_while_the_result_is_made_keeps_the_draws(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(result, "to_arviz", stop)
        with pytest.raises(infer.Interrupted, match="after warm-up, with 30 draws") as caught:
            infer.sample(targets.normal(), infer.NUTS(), **OPTIONS)
    data = caught.value.resume()
    np.testing.assert_array_equal(
        data.posterior["x"], infer.to_arviz(caught.value.run).posterior["x"]
    )
    assert data.posterior.sizes["draw"] == 30


@pytest.mark.slow
def test_interrupted_searches_and_fits_go_on_as_well():
    maximize = lambda: infer.maximize(  # noqa: E731
        targets.normal(), infer.MAP("unconstrained"), starts=2, threads=1
    )
    error = interrupted(1, maximize)
    assert "infer.maximize was interrupted while it searched for modes" in str(error)
    np.testing.assert_array_equal(error.resume().values["x"], maximize().values["x"])
    fit = lambda: infer.fit(targets.normal(), epochs=4, progress=False)  # noqa: E731
    error = interrupted(2, fit)
    assert "infer.fit was interrupted while it searched for modes" in str(error)
    with pytest.warns(infer.FitWarning):
        resumed, straight = error.resume(), fit()
    assert resumed.elbo == straight.elbo
    error = interrupted(2, lambda: infer.fit(targets.normal(), infer.ADVI(), epochs=20))
    assert re.match(r"infer.fit was interrupted after \d+ of up to 70 epochs", str(error))


# What somebody types who interrupts warm-up, then sampling; the timer presses Ctrl-C.
SESSION = """
import os, signal, sys, threading, time, warnings, infer
from infer.run import progress
sys.path.insert(0, {root!r})
from tests.infer import targets
press = lambda: os.kill(os.getpid(), signal.SIGINT)
counted = progress.Progress.update
def update(self, *rest):
    if self.status.made > presses[0]: presses[0] = 10**9; threading.Timer(0.01, press).start()
    return counted(self, *rest)

progress.Progress.update = update
presses = [20]
data = infer.sample(targets.normal(), infer.NUTS(), warmup=10**7, draws=10, key=0)
print("kept", sys.last_value.run)
run = sys.last_value.run
presses = [20]
sys.last_value.resume()
print("later", run.warmup.draws + run.fewest() > 20, sys.last_value.run is run)
presses = [5000]
data = infer.sample(targets.normal(), infer.NUTS(), draws=10**7, key=0)
print("returned", 100 < data.posterior.sizes["draw"] < 10**7)
"""


@pytest.mark.slow
def test_ctrl_c_in_an_interactive_python_keeps_what_there_is():
    root = os.path.join(os.path.dirname(__file__), *[".."] * 3)
    process = subprocess.run(
        [sys.executable, "-i", "-q"], input=SESSION.format(root=root), capture_output=True,
        text=True, timeout=200, env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )  # fmt: skip
    assert "kept Run(NUTS" in process.stdout, process.stderr
    assert "warming up" in process.stdout
    assert "later True True" in process.stdout
    assert "infer.sample was interrupted in warm-up" in process.stderr
    assert "returned True" in process.stdout
    assert "draws per chain are returned" in process.stderr
