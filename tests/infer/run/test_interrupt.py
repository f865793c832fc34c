"""An interrupt waits for no draw: blocks end on ticks, and what takes longer is left behind."""

import os
import signal
import time

import jax
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.run import collect


def started(seconds):
    """A run whose gradients take so long once it is started; its first draw takes 1023 of them."""
    pause = [0.0]

    def log_density(values):
        jax.debug.callback(lambda _: time.sleep(pause[0]), values["x"])
        return -0.5 * values["x"] ** 2

    model = infer.declared(log_density, {"x": bj.Real()})
    engine = infer.NUTS(step_size=1e-5)
    run = infer.start(model, engine, chains=1, warmup=0, progress=False)
    assert run._compiled
    pause[0] = seconds
    return run


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    return time.monotonic()


def test_an_interrupt_does_not_wait_for_a_whole_draw(monkeypatch):
    run, told, absorb = started(0.05), [], collect.Group.absorb

    def counting(self, *arguments):
        fresh = absorb(self, *arguments)
        told.append(interrupt() if len(told) == 1 else 0.0)
        return fresh

    monkeypatch.setattr(collect.Group, "absorb", counting)
    with pytest.raises(KeyboardInterrupt):
        run.advance(1)
    assert time.monotonic() - told[1] < 2.0
    (group,) = run.groups
    assert group.drawn.sum() == 0
    assert not group.entering.any()
    assert 9 <= group.executed[0] < 100


def test_a_block_that_takes_too_long_is_left_behind_and_done_again(monkeypatch):
    run, told, order = started(0.2), [], collect.Group.order

    def ordering(self, *arguments):
        if not told:
            told.append(interrupt())
        return order(self, *arguments)

    monkeypatch.setattr(collect.Group, "order", ordering)
    monkeypatch.setattr(collect, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt):
        run.advance(1)
    assert time.monotonic() - told[0] < 1.0
    before = jax.tree.map(np.array, run.groups[0].state)
    # By now the block of eight gradients has come to its end, and was thrown away.
    time.sleep(2.0)
    (group,) = run.groups
    jax.tree.map(np.testing.assert_array_equal, group.state, before)
    assert group.entering.all()
    assert group.executed[0] == 0
