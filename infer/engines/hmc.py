"""Hamiltonian Monte Carlo with a jittered trajectory, one leapfrog step a tick."""

from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from ..errors import EngineError
from ..numerics import hamiltonian
from ..numerics.hamiltonian import DIVERGENT, HamiltonianTuning
from ..numerics.leapfrog import PhasePoint, energy, start_trajectory
from ..numerics.line_integral import Energy, QuadratureName, restart_path
from ..numerics.step_size import StepSize
from ..target import Components, Target
from ..types import Scalar, Vector
from .base import Examples, Tick
from .whitened import Hamiltonian

# Uniform numbers per tick: for the length of the trajectory, and to accept its end.
UNIFORMS = 2


class HMCTuning(eqx.Module):
    """The tuning of HMC; traced.

    Attributes:
        shared: Step size and metric, learned in warm-up.
        trajectory_length: Mean length in whitened units.
        jitter: Relative half-width of the lengths.
        max_steps: Maximum number of leapfrog steps.
    """

    shared: HamiltonianTuning
    trajectory_length: Scalar | np.ndarray
    jitter: Scalar | np.ndarray
    max_steps: Int[Array, ""] | np.ndarray


class HMCState(NamedTuple):
    """One chain between two ticks.

    Attributes:
        start: The last draw, where the current trajectory began.
        point: The moving end of the trajectory.
        reference: The reference from which log densities and energies are measured, in nats.
        start_energy: Energy at the beginning of the trajectory, in nats.
        left: Steps still to take; 0 means that a new trajectory begins with the next tick.
        taken: Steps taken.
        step: What the chain has learned of its step size.
        step_size: Step size of the current trajectory.
        ticks: Ticks since the last completed draw.
    """

    start: PhasePoint
    point: PhasePoint
    reference: Scalar
    start_energy: Scalar
    left: Int[Array, ""]
    taken: Int[Array, ""]
    step: StepSize
    step_size: Scalar
    ticks: Int[Array, ""]


@dataclass(frozen=True)
class HMC(Hamiltonian):
    """Hamiltonian Monte Carlo.

    Attributes:
        trajectory_length: Mean length of a trajectory in whitened units, in which half an orbit
            of a standard normal is pi.
        jitter: Each length is uniform within this fraction of the mean, so that no
            trajectory closes on itself.
        max_steps: Maximum number of leapfrog steps of a trajectory.
        target_acceptance: Mean acceptance that warm-up aims at. If more than 2 % of the draws
            diverge before the last window, that window aims closer to 1.
        step_size: First step size in whitened units; by default warm-up searches for it.
        rank: Maximum number of directions that the metric stretches, besides a scale for each
            coordinate; 0 makes the metric diagonal. By default 64; 32 if there are more than 500
            coordinates, and 0 if there are more than 200,000. With more than 2000, only those are
            stretched that shorten trajectories by more than they cost.
        stop_early: Whether warm-up may skip to its last window once the chains agree and the
            metric whitens them, unless chains from other starts end elsewhere; and repeat that
            window while the step sizes of the chains disagree.
        energy: "value" compares log densities. "path" integrates, along each step, the force of
            the terms that have a score but no value; see `NUTS`, also for its statistics.
        quadrature: Rule for these integrals: "gauss_legendre", "simpson" or "trapezoid".

    Source: Neal (2011), MCMC using Hamiltonian dynamics, sections 3 and 4.2.
    """

    trajectory_length: float = field(default=1.5, compare=False)
    jitter: float = field(default=0.5, compare=False)
    max_steps: int = field(default=1024, compare=False)
    target_acceptance: float = field(default=0.8, compare=False)
    step_size: float | None = field(default=None, compare=False)
    rank: int | None = None
    stop_early: bool = field(default=True, compare=False)
    energy: Energy = "value"
    quadrature: QuadratureName = "gauss_legendre"
    without_value: ClassVar[str] = 'HMC(energy="path")'
    examples: ClassVar[Examples] = Examples(invalid={"trajectory_length": -1.0})

    def __post_init__(self) -> None:
        if not self.trajectory_length > 0 or not 0 <= self.jitter < 1:
            raise EngineError(
                "HMC",
                f"trajectory_length is {self.trajectory_length} and jitter {self.jitter}",
                "Give a positive length, and a jitter of at least 0 and below 1.",
            )
        if self.max_steps < 1:
            raise EngineError("HMC", f"max_steps is {self.max_steps}", "Give one or more.")
        self._check_shared_settings()

    def _complete(self, shared: HamiltonianTuning, size: int) -> HMCTuning:
        lead, dtype = np.shape(shared.step_size), np.asarray(shared.step_size).dtype
        return HMCTuning(
            shared,
            np.full(lead, self.trajectory_length, dtype),
            np.full(lead, self.jitter, dtype),
            np.full(lead, self.max_steps, np.int32),
        )

    def init(self, position: Vector, here: Components) -> HMCState:
        reference, point = self._first_point(position, here)
        one, none = jnp.ones_like(reference), jnp.int32(0)
        step = hamiltonian.idle_step(one)
        return HMCState(point, point, reference, point.log_density, none, none, step, one, none)

    def tick(
        self, key: Array, target: Target, tuning: HMCTuning, state: HMCState
    ) -> tuple[HMCState, Tick]:
        key = jax.random.fold_in(key, state.ticks)
        uniforms = jax.random.uniform(key, (UNIFORMS,), state.step_size.dtype)
        state = jax.lax.cond(
            state.left == 0,
            lambda: _begin(key, uniforms[0], tuning, state),
            lambda: state,
        )
        point = self._advance(
            target, state.reference, state.point, state.step_size, tuning.shared.metric
        )
        log_weight = state.start_energy - energy(point)
        log_weight = hamiltonian.nan_as_divergence(log_weight)
        diverging = log_weight < -DIVERGENT
        left = jnp.where(diverging, 0, state.left - 1)
        searching = state.step.searching
        complete = (left == 0) & ~searching
        accepted = complete & (jnp.log(uniforms[1]) < log_weight)
        start = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), point, state.start)
        acceptance = jnp.minimum(1.0, jnp.exp(log_weight))
        step = hamiltonian.learn(state.step, tuning.shared, complete, acceptance)
        taken, ticks = state.taken + 1, jnp.where(complete, 0, state.ticks + 1)
        energy_error = -jnp.where(accepted, log_weight, 0.0)
        stats = self._path_stats(state.reference, start.log_density, point.path) | {
            "acceptance_rate": acceptance,
            "diverging": diverging,
            "energy": state.start_energy + energy_error - state.reference,
            "energy_error": energy_error,
            "n_steps": taken,
            "step_size": state.step_size,
            "step_size_bar": jnp.exp(step.log_average),
        }
        moved = state._replace(
            start=start, point=point, left=left, taken=taken, step=step, ticks=ticks
        )
        return moved, Tick(complete, start.position, start.gradient, stats)


def _begin(key: Array, uniform: Scalar, tuning: HMCTuning, state: HMCState) -> HMCState:
    momentum = hamiltonian.draw_momentum(key, state.start.position, UNIFORMS)
    reference, start = hamiltonian.shift_reference(state.reference, state.start)
    point = start_trajectory(
        start.position, momentum, start.gradient, start.log_density, tuning.shared.metric,
        restart_path(start.path),
    )  # fmt: skip
    step_size = jnp.exp(state.step.log_step)
    length = tuning.trajectory_length * (1 + tuning.jitter * (2 * uniform - 1))
    steps = jnp.clip(jnp.round(length / step_size).astype(jnp.int32), 1, tuning.max_steps)
    steps = jnp.where(state.step.searching, 1, steps).astype(jnp.int32)
    return state._replace(
        start=start,
        point=point,
        reference=reference,
        start_energy=energy(point),
        left=steps,
        taken=jnp.int32(0),
        step_size=step_size,
    )
