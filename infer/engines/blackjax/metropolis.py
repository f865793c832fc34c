"""What the Metropolis samplers of BlackJAX share: a tick is a transition; the tuning is ours."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ...numerics import hamiltonian
from ...numerics.hamiltonian import HamiltonianTuning
from ...numerics.step_size import StepSize
from ...target import Components, Target
from ...types import Scalar, Vector
from ..base import Examples, Tick
from ..settings import check_step_settings
from ..whitened import Whitened
from .library import as_log_density


class MetropolisTuning(eqx.Module):
    """The tuning of a Metropolis sampler; traced.

    Attributes:
        shared: Step size and scales, learned in warm-up.
        mean_steps: Mean number of integration steps of a transition.
    """

    shared: HamiltonianTuning
    mean_steps: Scalar | np.ndarray


class MetropolisState(NamedTuple):
    """One chain between two transitions.

    Attributes:
        position: The current position.
        log_density: Log density there, in nats.
        gradient: Gradient there.
        step: What the chain has learned of its step size.
        ticks: Transitions since the last draw, during the search for a first step size.
    """

    position: Vector
    log_density: Scalar
    gradient: Vector
    step: StepSize
    ticks: Int[Array, ""]


class Here(NamedTuple):
    """The start or the end of a transition, as a displacement in whitened units.

    Attributes:
        moved: The displacement, shape (size,).
        log_density: Log density there, in nats.
        gradient: Gradient with respect to the displacement, shape (size,).
    """

    moved: Vector
    log_density: Scalar
    gradient: Vector


class Transition(NamedTuple):
    """What one transition of a kernel returns.

    Attributes:
        end: Where the chain is now.
        acceptance: Acceptance probability of the proposal.
        n_steps: Number of gradients it took.
        stats: Other statistics of the kernel.
    """

    end: Here
    acceptance: Scalar
    n_steps: Int[Array, ""]
    stats: dict[str, Array]


@dataclass(frozen=True)
class Metropolis(Whitened):
    """A kernel of BlackJAX with coordinates scaled, and a step size learned, as for HMC.

    Attributes:
        target_acceptance: Mean acceptance that warm-up aims at.
        step_size: First step size of the kernel in whitened units; by default warm-up searches
            for it.
        stop_early: Whether warm-up may skip to its last window once the chains agree and the
            scales fit, and repeat that window while the step sizes of the chains disagree.
    """

    examples: ClassVar[Examples] = Examples(invalid={"target_acceptance": 0.0})
    sends_scouts: ClassVar[bool] = False
    target_acceptance: float = field(default=0.8, compare=False)
    step_size: float | None = field(default=None, compare=False)
    stop_early: bool = field(default=True, compare=False)

    def __post_init__(self) -> None:
        name = type(self).__name__
        check_step_settings(name, self.target_acceptance, self.step_size, None)

    @abstractmethod
    def _transition(
        self,
        key: Array,
        log_density: Callable[[Vector], Scalar],
        here: Here,
        step_size: Scalar,
        mean_steps: Scalar,
    ) -> Transition:
        """Make one transition of BlackJAX's kernel from displacement 0."""

    @property
    def _mean_steps(self) -> float:
        return 1.0

    def _default_warmup(self, chains: int) -> int:
        return 300

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> MetropolisTuning:
        shared = hamiltonian.first_tuning(gradients, self.step_size, self.target_acceptance, rank=0)
        return MetropolisTuning(shared, np.asarray(self._mean_steps, gradients.dtype))

    def init(self, position: Vector, here: Components) -> MetropolisState:
        step = hamiltonian.idle_step(here.value)
        return MetropolisState(position, here.value, here.gradient, step, jnp.int32(0))

    def tick(
        self, key: Array, target: Target, tuning: MetropolisTuning, state: MetropolisState
    ) -> tuple[MetropolisState, Tick]:
        key = jax.random.fold_in(key, state.ticks)
        scale: Any = tuning.shared.metric.to_model(jnp.ones_like(state.position))
        here = Here(jnp.zeros_like(scale), state.log_density, scale * state.gradient)
        step_size = jnp.exp(state.step.log_step)
        log_density = as_log_density(target, state.position, scale)
        made = self._transition(key, log_density, here, step_size, jnp.asarray(tuning.mean_steps))
        # A proposal whose log density is NaN is rejected, and its acceptance counts as 0.
        acceptance = jnp.where(jnp.isnan(made.acceptance), 0.0, made.acceptance)
        moved = _move(state, made.end, scale)
        complete = ~state.step.searching
        step = hamiltonian.learn(state.step, tuning.shared, complete, acceptance)
        ticks = jnp.where(complete, 0, state.ticks + 1)
        stats = made.stats | {
            "lp": moved.log_density,
            "acceptance_rate": acceptance,
            "n_steps": made.n_steps,
            "step_size": step_size,
            "step_size_bar": jnp.exp(step.log_average),
        }
        moved = moved._replace(step=step, ticks=ticks)
        return moved, Tick(complete, moved.position, moved.gradient, stats)


class OneGradient(Metropolis):
    """A kernel whose state is a point and its gradient, and whose transition takes one more."""

    @abstractmethod
    def _kernel(self) -> tuple[Callable[..., Any], Callable[..., Any]]:
        """Return BlackJAX's kernel and the type of its state."""

    def _transition(
        self,
        key: Array,
        log_density: Callable[[Vector], Scalar],
        here: Here,
        step_size: Scalar,
        mean_steps: Scalar,
    ) -> Transition:
        kernel, make_state = self._kernel()
        end, info = kernel(key, make_state(*here), log_density, step_size)
        return Transition(Here(*end), info.acceptance_rate, jnp.int32(1), {})


def _move(state: MetropolisState, end: Here, scale: Vector) -> MetropolisState:
    """Move a chain to the end of its transition, in its own precision."""
    stayed = (end.moved == 0).all()
    end = jax.tree.map(lambda new, old: new.astype(old.dtype), end, Here(*state[:3]))
    return state._replace(
        position=state.position + scale * end.moved,
        log_density=end.log_density,
        gradient=jnp.where(stayed, state.gradient, end.gradient / scale),
    )
