"""Stochastic-gradient samplers of BlackJAX: one gradient per tick, each on its own minibatch."""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ...errors import EngineError
from ...target import Components, Target
from ...types import Scalar, Vector
from ..base import Engine, Examples, Needs, Tick, WarmupPlan, one_window
from .library import library


class StochasticGradientTuning(eqx.Module):
    """The tuning of a stochastic-gradient sampler; traced, and not learned.

    Attributes:
        step_size: Step size of the diffusion, in unconstrained units.
        steps: Gradients per draw.
        friction: Rate at which the momentum is damped, per unit of time.
    """

    step_size: Scalar | np.ndarray
    steps: Int[Array, ""] | np.ndarray
    friction: Scalar | np.ndarray


class StochasticGradientState(NamedTuple):
    """One chain between two steps.

    Attributes:
        position: The current position.
        momentum: Its momentum; not used by SGLD.
        ticks: Steps since the last draw.
        failed: Whether one of these steps was not taken because its gradient is not finite.
    """

    position: Vector
    momentum: Vector
    ticks: Int[Array, ""]
    failed: Bool[Array, ""]


@dataclass(frozen=True)
class StochasticGradient(Engine):
    """A diffusion of BlackJAX, in steps without a Metropolis correction that need no value.

    If the model has a minibatch, each step sees different rows. Draws are biased by the size of
    the steps and by the noise of the minibatches: halve the step size, and see what changes.

    Attributes:
        step_size: Step size of the diffusion, in unconstrained units. It has no default: without
            a correction it determines the bias of the draws.
        steps: Gradients per draw.
    """

    without_value: ClassVar[str] = 'BlackJAX("sgld", step_size=...)'
    examples: ClassVar[Examples] = Examples(valid={"step_size": 0.01}, invalid={"step_size": 0.0})
    step_size: float = field(compare=False)
    steps: int = field(default=10, compare=False)

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not self.step_size > 0:
            raise EngineError(name, f"step_size is {self.step_size}", "Give a positive number.")
        if self.steps < 1:
            raise EngineError(name, f"steps is {self.steps}", "Give one or more.")

    @abstractmethod
    def _step(
        self,
        key: Array,
        gradient: Vector,
        tuning: StochasticGradientTuning,
        state: StochasticGradientState,
    ) -> tuple[Vector, Vector]:
        """Make one step of BlackJAX's integrator; return position and momentum."""

    @property
    def _friction(self) -> float:
        return 0.0

    @property
    def needs(self) -> Needs:
        return Needs(value=False, exact=False)

    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        return one_window(500 if draws is None else draws)

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> StochasticGradientTuning:
        dtype = gradients.dtype
        return StochasticGradientTuning(
            np.asarray(self.step_size, dtype),
            np.asarray(self.steps, np.int32),
            np.asarray(self._friction, dtype),
        )

    def reuse(
        self, learned: StochasticGradientTuning, fresh: StochasticGradientTuning
    ) -> StochasticGradientTuning:
        return fresh

    def init(self, position: Vector, here: Components) -> StochasticGradientState:
        at_rest = jnp.zeros_like(position)
        return StochasticGradientState(position, at_rest, jnp.int32(0), jnp.asarray(False))

    def tick(
        self,
        key: Array,
        target: Target,
        tuning: StochasticGradientTuning,
        state: StochasticGradientState,
    ) -> tuple[StochasticGradientState, Tick]:
        rows_key, key = jax.random.split(jax.random.fold_in(key, state.ticks))
        here = state.position
        log_density, gradient = target.at(rows_key).evaluate(here)
        usable = jnp.isfinite(gradient).all()
        moved = self._step(key, jnp.where(usable, gradient, 0.0), tuning, state)
        # If the gradient is not finite, no step is taken, and the momentum is reversed.
        position, momentum = jax.tree.map(
            lambda new, old: jnp.where(usable, new, old).astype(old.dtype),
            moved,
            (here, -state.momentum),
        )
        ticks, failed = state.ticks + 1, state.failed | ~usable
        complete = ticks >= tuning.steps
        stats = {
            "lp": log_density,
            "diverging": failed,
            "n_steps": ticks,
            "step_size": jnp.asarray(tuning.step_size),
        }
        ticks = jnp.where(complete, 0, ticks)
        state = StochasticGradientState(position, momentum, ticks, failed & ~complete)
        # The draw is the point of the value and the gradient, not the end of the step.
        return state, Tick(complete, here, gradient, stats)


@dataclass(frozen=True)
class SGLD(StochasticGradient):
    """Stochastic-gradient Langevin dynamics, with steps of one size.

    A step moves by `step_size` times the gradient plus noise of variance `2 * step_size`.

    Source: Welling & Teh (2011), Bayesian learning via stochastic gradient Langevin dynamics;
        constant steps as Vollmer, Zygalakis & Teh (2016), arXiv 1501.00438.
    """

    def _step(
        self,
        key: Array,
        gradient: Vector,
        tuning: StochasticGradientTuning,
        state: StochasticGradientState,
    ) -> tuple[Vector, Vector]:
        step = library().sgmcmc.diffusions.overdamped_langevin()
        return step(key, state.position, gradient, tuning.step_size), state.momentum


@dataclass(frozen=True)
class SGHMC(StochasticGradient):
    """Stochastic-gradient Hamiltonian Monte Carlo with friction.

    A step moves by `step_size` times the momentum, which then changes by `step_size` times the
    gradient minus friction, plus the noise that balances the friction. Each draw begins with a new
    standard normal momentum, as BlackJAX's transitions of `steps` steps do. The steps are
    explicit: a trajectory grows unless the friction exceeds `step_size` times the curvature.

    Attributes:
        friction: Rate at which the momentum is damped, per unit of time; it counters the heating
            by the noise of minibatches.

    Source: Chen, Fox & Guestrin (2014), arXiv 1402.4102, equation 13.
    """

    friction: float = field(default=1.0, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.friction >= 0:
            raise EngineError("SGHMC", f"friction is {self.friction}", "Give zero or more.")

    @property
    def _friction(self) -> float:
        return self.friction

    def _step(
        self,
        key: Array,
        gradient: Vector,
        tuning: StochasticGradientTuning,
        state: StochasticGradientState,
    ) -> tuple[Vector, Vector]:
        momentum_key, key = jax.random.split(key)
        fresh = jax.random.normal(momentum_key, gradient.shape, gradient.dtype)
        momentum = jnp.where(state.ticks == 0, fresh, state.momentum)
        step = library().sgmcmc.diffusions.sghmc(alpha=jnp.asarray(tuning.friction))
        return step(key, state.position, momentum, gradient, tuning.step_size)
