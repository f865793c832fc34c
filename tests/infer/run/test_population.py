"""Chains that move together: one program for each density, and communication between chains."""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import infer
from infer.engines.base import CHAINS, Engine, Tick, WarmupPlan

from .. import targets


class Herd(NamedTuple):
    position: jax.Array


@dataclass(frozen=True)
class Following(Engine):
    """Each chain moves to the mean of all chains plus its own index, times the tuning."""

    scope = "population"

    def plan_warmup(self, chains, draws=None):
        return WarmupPlan(0, ())

    def first_tuning(self, target, positions, gradients):
        return np.asarray(1.0)

    def init(self, position, here):
        return Herd(position)

    def tick(self, key, target, tuning, state):
        mean = jax.lax.pmean(state.position, CHAINS)
        position = mean + jax.lax.axis_index(CHAINS) * jnp.asarray(tuning)
        tick = Tick(jnp.asarray(True), position, jnp.zeros((0,)), {"lp": position[0]})
        return Herd(position), tick


STARTS = {"x": np.arange(12.0).reshape(4, 3)}


def herd(model, **options):
    options = {"chains": 4, "starts": STARTS, "progress": False} | options
    return infer.start(model, Following(), **options)


def test_chains_can_communicate():
    run = herd(targets.normal()).advance(2)
    first = STARTS["x"].mean(0) + np.arange(4.0)[:, None]
    np.testing.assert_allclose(run.draws().positions[:, 0], first)
    np.testing.assert_allclose(run.draws().positions[:, 1], first + 1.5)
    assert (run.plan.width, run.plan.is_native) == (4, False)


def test_each_data_set_has_a_population_of_its_own():
    alone = herd(targets.normal()).advance(3).draws().positions
    models = [targets.normal(), targets.normal(mean=np.ones(3))]
    both = herd(models, starts=STARTS).advance(3)
    np.testing.assert_array_equal(both.draws().positions, np.concatenate([alone, alone]))
    assert both.plan.width == 4


def test_one_chain_is_a_population_too():
    run = herd(targets.normal(), chains=1, starts={"x": np.ones(3)}).advance(2)
    np.testing.assert_array_equal(run.draws().positions, np.ones((1, 2, 3)))


def test_a_population_cannot_be_divided():
    with pytest.raises(infer.RunError, match="moves all 4 chains together.*Leave it out"):
        herd(targets.normal(), group=2)
    assert herd(targets.normal(), group=4).plan.width == 4
