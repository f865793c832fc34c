"""Microcanonical Langevin dynamics of BlackJAX, not corrected: momenta are directions.

BlackJAX's momenta have length 1; step sizes here are those of momenta as long as the square root
of the number of coordinates, as those of HMC are, so that the two are comparable.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ...errors import EngineError
from ...numerics import microcanonical
from ...numerics.metric import Metric, guess_metric
from ...numerics.microcanonical import EnergyStep
from ...numerics.retune import pool_rows
from ...numerics.windows import plan_windows
from ...target import Components, Target
from ...types import Scalar, Vector
from ..base import Draws, Engine, Examples, Tick, WarmupPlan, WindowEnd
from .library import as_log_density, library, refuse_one_dimension

# The first values of BlackJAX's own tuning.
FIRST_STEP, FIRST_LENGTH = 0.25, 1.0


class MCLMCTuning(eqx.Module):
    """The tuning of MCLMC; traced.

    Attributes:
        step_size: In whitened units.
        length: Decoherence length of the momentum, in whitened units.
        aim: Squared energy error per step and coordinate that warm-up aims at.
        metric: The scales.
        steps: Integration steps per draw.
    """

    step_size: Scalar | np.ndarray
    length: Scalar | np.ndarray
    aim: Scalar | np.ndarray
    metric: Metric
    steps: Int[Array, ""] | np.ndarray


class MCLMCState(NamedTuple):
    """One chain between two steps.

    Attributes:
        position: The current position.
        momentum: A direction in the whitened space, of length 1.
        log_density: Log density at the position, in nats.
        gradient: Gradient there.
        step: What the chain has learned of its step size.
        ticks: Steps since the last draw.
        error: Sum of the squared energy errors of these steps, in nats squared.
        failed: Whether one of these steps ended where the density is not finite.
    """

    position: Vector
    momentum: Vector
    log_density: Scalar
    gradient: Vector
    step: EnergyStep
    ticks: Int[Array, ""]
    error: Scalar
    failed: Bool[Array, ""]


@dataclass(frozen=True)
class MCLMC(Engine):
    """Microcanonical Langevin Monte Carlo, without a Metropolis correction.

    A tick is one integration step, of two gradients; a draw takes several. Without the
    correction draws are biased, by an amount that the energy error of the steps controls.
    Within a window of warm-up each chain adapts its step size to reach that error; at the end of
    the window step sizes, scales and the decoherence length of the momentum are pooled.

    Attributes:
        energy_variance: Squared energy error per step and coordinate, in nats squared, that
            warm-up aims at; the smaller it is, the smaller is the bias.
        steps: Integration steps per draw.
        step_size: First step size in whitened units; by default 1/4.
        length: First decoherence length of the momentum in whitened units; by default 1.

    Source: Robnik, De Luca, Silverstein & Seljak (2023), arXiv 2212.08549.
    """

    examples: ClassVar[Examples] = Examples(invalid={"energy_variance": 0.0})
    energy_variance: float = field(default=5e-4, compare=False)
    steps: int = field(default=5, compare=False)
    step_size: float | None = field(default=None, compare=False)
    length: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("energy_variance", "step_size", "length")}
        for name, number in given.items():
            if number is not None and not number > 0:
                raise EngineError("MCLMC", f"{name} is {number}", "Give a positive number.")
        if self.steps < 1:
            raise EngineError("MCLMC", f"steps is {self.steps}", "Give one or more.")

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        draws = 300 if draws is None else draws
        return WarmupPlan(draws, plan_windows(draws))

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> MCLMCTuning:
        dtype = gradients.dtype
        refuse_one_dimension("MCLMC", positions.shape[1])
        step_size = FIRST_STEP if self.step_size is None else self.step_size
        length = FIRST_LENGTH if self.length is None else self.length
        return MCLMCTuning(
            np.asarray(step_size, dtype),
            np.asarray(length, dtype),
            np.asarray(self.energy_variance, dtype),
            guess_metric(gradients, rank=0),
            np.asarray(self.steps, np.int32),
        )

    def reuse(self, learned: MCLMCTuning, fresh: MCLMCTuning) -> MCLMCTuning:
        return eqx.tree_at(lambda t: (t.aim, t.steps), learned, (fresh.aim, fresh.steps))

    def init(self, position: Vector, here: Components) -> MCLMCState:
        log_density, gradient = here.value, here.gradient
        zero, no = jnp.zeros_like(log_density), jnp.asarray(False)
        step = microcanonical.begin(jnp.ones_like(log_density), no)
        # A chain begins in the direction of the gradient.
        uphill = gradient / jnp.maximum(jnp.linalg.norm(gradient), jnp.finfo(gradient.dtype).tiny)
        return MCLMCState(position, uphill, log_density, gradient, step, jnp.int32(0), zero, no)

    def enter(self, tuning: MCLMCTuning, state: MCLMCState, warming: Bool[Array, ""]) -> MCLMCState:
        return state._replace(step=microcanonical.begin(jnp.asarray(tuning.step_size), warming))

    def tick(
        self, key: Array, target: Target, tuning: MCLMCTuning, state: MCLMCState
    ) -> tuple[MCLMCState, Tick]:
        scale: Any = tuning.metric.to_model(jnp.ones_like(state.position))
        step_size = jnp.exp(state.step.log_step)
        length = jnp.asarray(tuning.length)
        end, info = _step(key, target, state, scale, step_size, length)
        error = jnp.where(info.nonans, info.energy_change, 0.0).astype(step_size.dtype)
        step = microcanonical.learn(
            state.step, error, info.nonans, scale.shape[0], jnp.asarray(tuning.aim)
        )
        ticks, errors = state.ticks + 1, state.error + error**2
        failed = state.failed | ~info.nonans
        complete = ticks >= tuning.steps
        steps = ticks.astype(step_size.dtype)
        stats = {
            "lp": end.log_density,
            "diverging": failed,
            "energy_error": errors / steps,
            "length": length,
            "n_steps": 2 * ticks,
            "step_size": step_size,
        }
        moved = end._replace(
            step=step,
            ticks=jnp.where(complete, 0, ticks),
            error=jnp.where(complete, 0.0, errors),
            failed=failed & ~complete,
        )
        return moved, Tick(complete, end.position, end.gradient, stats)

    def end_window(
        self, tuning: MCLMCTuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        dtype = np.asarray(tuning.step_size).dtype
        last = recent[-1]
        step_size = microcanonical.pool_steps(last.stats["step_size"][:, -1])
        spacing = float(tuning.steps) * step_size
        length = microcanonical.choose_decoherence_length(last.positions, spacing)
        metric = tuning.metric
        if windows:
            draws, scores = [w.positions for w in recent], [w.gradients for w in recent]
            metric = metric.learn(pool_rows(draws), pool_rows(scores))
        learned = MCLMCTuning(
            np.asarray(step_size, dtype),
            tuning.length if length is None else np.asarray(length, dtype),
            tuning.aim,
            metric,
            tuning.steps,
        )
        return WindowEnd(learned, windows)


def _step(
    key: Array, target: Target, state: MCLMCState, scale: Vector, step_size: Scalar, length: Scalar
) -> tuple[MCLMCState, Any]:
    """Make one step of BlackJAX's kernel, which draws a new direction if the step fails."""
    kernel = library().mclmc.build_kernel()
    begin = library().mcmc.integrators.IntegratorState(
        jnp.zeros_like(scale), state.momentum, state.log_density, scale * state.gradient
    )
    log_density = as_log_density(target, state.position, scale)
    one = jnp.ones((), scale.dtype)
    key = jax.random.fold_in(key, state.ticks)
    root = math.sqrt(scale.shape[0])
    end, info = kernel(key, begin, log_density, one, length * root, step_size * root)
    end = jax.tree.map(lambda new, old: new.astype(old.dtype), end, begin)
    moved = state._replace(
        position=state.position + scale * end.position,
        momentum=end.momentum,
        log_density=end.logdensity,
        gradient=jnp.where(info.nonans, end.logdensity_grad / scale, state.gradient),
    )
    return moved, info
