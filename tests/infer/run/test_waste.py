"""Executed gradients are counted correctly, and chains of one program do not wait for a draw."""

from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bijectors as bj
import infer
from infer.programs import native
from infer.run import batched, blocks, collect

from .. import targets

CALLS = []


def counted(values):
    """A funnel that records each evaluation of each chain when the program runs."""
    x, v = values["x"], values["v"]
    jax.debug.callback(CALLS.append, v)
    return -0.5 * (v / 3) ** 2 - 0.5 * (x**2).sum() * jnp.exp(-v) - 0.5 * x.size * v


@pytest.fixture(scope="module")
def run():
    """Three chains of one program, whose blocks end after each draw of any of them."""
    model = infer.declared(counted, {"x": bj.Real(shape=(3,)), "v": bj.Real()})
    options = {"chains": 3, "group": 3, "warmup": 0, "progress": False, "key": 4}
    run = infer.start(model, infer.NUTS(step_size=0.3, rank=0), **options)
    jax.effects_barrier()
    CALLS.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collect, "BLOCK_SECONDS", 0.0)
        run.advance(20)
    jax.effects_barrier()
    return run


def test_the_count_of_executed_gradients_is_exact(run):
    """The oracle is a callback in the density, called for each chain at each tick."""
    assert run.executed == len(CALLS)


def test_chains_of_one_program_wait_only_for_the_slowest(run):
    """Not for each other's draws, nor for a block whose rows are full."""
    steps = run.draws().stats["n_steps"]
    assert run.executed == 3 * steps.sum(1).max()
    # In lockstep each draw would wait for its longest trajectory.
    assert steps.sum() < run.executed < 3 * steps.max(0).sum()


def test_a_single_chain_wastes_no_gradient():
    options = {"chains": 2, "warmup": 30, "progress": False}
    run = infer.start(targets.normal(), infer.NUTS(), **options).advance(20)
    steps = run.draws().stats["n_steps"]
    assert run.executed == steps.sum()
    again = infer.start(targets.normal(), infer.NUTS(), state=run.state, progress=False)
    assert again.executed == steps.sum()


def test_chains_that_tick_several_times_at_once_make_the_draws_of_single_ones(monkeypatch):
    """As on an accelerator; here every chain is full and idle after each draw."""
    options = {"chains": 2, "warmup": 0, "key": 3, "progress": False}
    model, engine = targets.normal(), infer.NUTS(step_size=0.3)
    alone = infer.start(model, engine, **options).advance(10)
    monkeypatch.setattr(batched, "choose_stride", lambda engine: jnp.int32(3))
    monkeypatch.setattr(blocks, "CHAIN_BYTES", 1)
    monkeypatch.setattr(native, "_kept", OrderedDict())
    together = infer.start(model, engine, group=2, **options).advance(10)
    assert together.executed % 3 == 0
    for made in zip(together.draws().positions, alone.draws().positions, strict=True):
        np.testing.assert_allclose(*made, rtol=1e-8)


def test_the_cost_of_waiting_is_reported():
    report = infer.Slowness({"sampling": 1.0}, 1e-3, 100, 120, 0, 1, ((7, 20),), 0.0, None)
    assert report.waste == 1.2
    assert "1.20 gradients were executed for each one used" in str(report)
