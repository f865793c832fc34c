"""Random-walk Metropolis."""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import EngineError
from .base import Engine, Examples, Tick, WarmupPlan, WindowEnd


class WalkState(NamedTuple):
    """The position of one chain, and the log density there."""

    position: jax.Array
    log_density: jax.Array


@dataclass(frozen=True)
class RandomWalk(Engine):
    """Random-walk Metropolis with normal proposals.

    Source: Metropolis et al. (1953), Equation of state calculations by fast computing machines.
    """

    examples = Examples(invalid={"target_acceptance": 1.5})
    target_acceptance: float = field(default=0.3, compare=False)

    def __post_init__(self):
        if not 0 < self.target_acceptance < 1:
            raise EngineError(
                "RandomWalk",
                f"target_acceptance is {self.target_acceptance}",
                "Give a number between 0 and 1.",
            )

    def plan_warmup(self, chains, draws=None):
        draws = 1000 if draws is None else draws
        return WarmupPlan(draws, (100,) * (draws // 100))

    def first_tuning(self, target, positions, gradients):
        return np.asarray(0.5, gradients.dtype)

    def init(self, position, here):
        return WalkState(position, here.value)

    def tick(self, key, target, tuning, state):
        step_key, accept_key = jax.random.split(key)
        step = tuning * jax.random.normal(step_key, state.position.shape, state.position.dtype)
        proposal = state.position + step
        log_density, _ = target.evaluate(proposal)
        log_ratio = log_density - state.log_density
        log_ratio = jnp.where(jnp.isfinite(log_density), log_ratio, -jnp.inf)
        accepted = jnp.log(jax.random.uniform(accept_key, (), log_ratio.dtype)) < log_ratio
        moved = WalkState(
            jnp.where(accepted, proposal, state.position),
            jnp.where(accepted, log_density, state.log_density),
        )
        stats = {
            "lp": moved.log_density,
            "acceptance_rate": jnp.minimum(1.0, jnp.exp(log_ratio)),
            "step_size": jnp.asarray(tuning),
        }
        return moved, Tick(jnp.asarray(True), moved.position, jnp.zeros((0,), step.dtype), stats)

    def end_window(self, tuning, recent, windows):
        acceptance = recent[-1].stats["acceptance_rate"].mean()
        factor = np.exp(2 * (acceptance - self.target_acceptance))
        return WindowEnd(np.asarray(tuning * factor, tuning.dtype), windows)
