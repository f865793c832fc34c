"""An interrupt does not wait for a draw: blocks end at ticks, and slow blocks are abandoned."""

import os
import signal
import time

import jax
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.run import collect


def start(seconds):
    """Start a run whose gradients then take `seconds` each; its first draw needs 1023 of them."""
    pause = [0.0]

    def log_density(values):
        jax.debug.callback(lambda _: time.sleep(pause[0]), values["x"])
        return -0.5 * values["x"] ** 2

    model = infer.declared(log_density, {"x": bj.Real()})
    engine = infer.NUTS(step_size=1e-5)
    run = infer.start(model, engine, chains=1, warmup=0, progress=False)
    assert run._compile()
    pause[0] = seconds
    return run


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    return time.monotonic()


def test_an_interrupt_does_not_wait_for_a_whole_draw(monkeypatch):
    run, interrupted, absorb = start(0.05), [], collect.Group.absorb

    def counting(self, *arguments):
        fresh = absorb(self, *arguments)
        interrupted.append(interrupt() if len(interrupted) == 1 else 0.0)
        return fresh

    monkeypatch.setattr(collect.Group, "absorb", counting)
    with pytest.raises(KeyboardInterrupt):
        run.advance(1)
    assert time.monotonic() - interrupted[1] < 2.0
    (group,) = run.groups
    assert group.drawn.sum() == 0
    assert not group.entering.any()
    assert 9 <= group.executed[0] < 100


def test_a_slow_block_is_abandoned_and_can_be_repeated(monkeypatch):
    # On a busy machine the interrupt may be noticed late, but not after a second.
    run, interrupted, order = start(1.2), [], collect.Group.order

    def ordering(self, *arguments):
        if not interrupted:
            interrupted.append(interrupt())
        return order(self, *arguments)

    monkeypatch.setattr(collect.Group, "order", ordering)
    monkeypatch.setattr(collect, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(KeyboardInterrupt):
        run.advance(1)
    assert time.monotonic() - interrupted[0] < 1.0
    before = jax.tree.map(np.array, run.groups[0].state)
    # By now the block of one gradient has ended, and its result was discarded.
    time.sleep(2.0)
    (group,) = run.groups
    jax.tree.map(np.testing.assert_array_equal, group.state, before)
    assert group.entering.all()
    assert group.executed[0] == 0
