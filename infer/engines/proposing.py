"""What the Metropolis engines without gradients share: proposals, and their step size."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from ..errors import EngineError
from ..numerics.long_sum import two_sum
from ..numerics.shared_step import median_step
from ..numerics.step_size import StepSize, average_log_steps, restart
from ..target import Components, Target
from ..types import Scalar, Vector
from .base import Draws, Examples, Tick, WindowEnd
from .without_gradient import WithoutGradient


class ProposalTuning(eqx.Module):
    """What warm-up learns; traced, and shared by all chains.

    Attributes:
        step_size: Scale of the proposals.
        target_acceptance: Mean acceptance that the step size aims at.
        steps: Proposals of a draw.
        moves: What proposals are made of: a factor, or draws of warm-up.
    """

    step_size: Scalar | np.ndarray
    target_acceptance: Scalar | np.ndarray
    steps: Int[Array, ""] | np.ndarray
    moves: Any


class ProposalState(NamedTuple):
    """One chain between two proposals.

    Attributes:
        position: Where it is.
        reference: The reference from which log densities are measured, in nats.
        log_density: Log density there, relative to the reference.
        step: What the chain has learned of its step size.
        taken: Proposals since the last draw.
        accepted: Sum of their acceptance probabilities.
        undefined: How many of them had a log density of NaN.
    """

    position: Vector
    reference: Scalar
    log_density: Scalar
    step: StepSize
    taken: Int[Array, ""]
    accepted: Scalar
    undefined: Int[Array, ""]


class Proposal(NamedTuple):
    """Where a chain may move.

    Attributes:
        position: The proposed position.
        log_ratio: Logarithm of the density of the way back over that of the way there.
        is_scaled: Whether its length depends on the step size, which then learns from it.
    """

    position: Vector
    log_ratio: Scalar
    is_scaled: Bool[Array, ""]


class Proposing(WithoutGradient):
    """A Metropolis-Hastings engine that evaluates the log density once per tick, and no gradient.

    Attributes:
        target_acceptance: Mean acceptance that warm-up aims at; by default 0.234 + 0.206 / size.
        steps: Proposals of a draw; by default two more than the vector has coordinates.
    """

    examples: ClassVar[Examples] = Examples(invalid={"target_acceptance": 1.5})
    target_acceptance: float | None
    steps: int | None

    def _check_shared_settings(self) -> None:
        name, aim = type(self).__name__, self.target_acceptance
        if aim is not None and not 0 < aim < 1:
            raise EngineError(
                name, f"target_acceptance is {aim}", "Give a number between 0 and 1, such as 0.3."
            )
        if self.steps is not None and self.steps < 1:
            raise EngineError(name, f"steps is {self.steps}", "Give a whole number of at least 1.")

    @abstractmethod
    def _first_step(self, size: int) -> float:
        """Return the step size that suits a normal distribution of this size."""

    @abstractmethod
    def _first_moves(self, positions: np.ndarray) -> Any:
        """Make what the first proposals are made of, from the starts, shape (chains, size)."""

    @abstractmethod
    def _learn_moves(self, moves: Any, windows: Sequence[np.ndarray]) -> Any:
        """Learn what proposals are made of from draws, each of shape (chains, draws, size)."""

    @abstractmethod
    def _propose(self, key: Array, moves: Any, step_size: Scalar, position: Vector) -> Proposal:
        """Make a proposal."""

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> ProposalTuning:
        dtype, size = positions.dtype, positions.shape[1]
        # Roberts & Rosenthal (2001), section 2: 0.234 for many coordinates, 0.44 for one.
        aim = 0.234 + 0.206 / size if self.target_acceptance is None else self.target_acceptance
        return ProposalTuning(
            np.asarray(self._first_step(size), dtype),
            np.asarray(aim, dtype),
            np.asarray(size + 2 if self.steps is None else self.steps, np.int32),
            self._first_moves(positions),
        )

    def reuse(self, learned: ProposalTuning, fresh: ProposalTuning) -> ProposalTuning:
        return ProposalTuning(
            learned.step_size, fresh.target_acceptance, fresh.steps, learned.moves
        )

    def init(self, position: Vector, here: Components) -> ProposalState:
        no, value = jnp.asarray(False), here.value
        step = restart(jnp.ones_like(value), searching=no, adapting=no)
        none, zero = jnp.zeros_like(value), jnp.int32(0)
        return ProposalState(position, value, 0 * value, step, zero, none, zero)

    def enter(
        self, tuning: ProposalTuning, state: ProposalState, warming: Bool[Array, ""]
    ) -> ProposalState:
        return state._replace(
            step=restart(jnp.asarray(tuning.step_size), jnp.asarray(False), warming)
        )

    def tick(
        self, key: Array, target: Target, tuning: ProposalTuning, state: ProposalState
    ) -> tuple[ProposalState, Tick]:
        own_key, accept_key = jax.random.split(jax.random.fold_in(key, state.taken))
        step_size, old = jnp.exp(state.step.log_step), state.log_density
        made = self._propose(own_key, tuning.moves, step_size, state.position)
        new = target.value_from(made.position, state.reference)
        # NaN is no density, and an infinite one would never be left.
        log_ratio = jnp.where(new < jnp.inf, new - old + made.log_ratio, -jnp.inf)
        acceptance = jnp.exp(jnp.minimum(log_ratio, 0))
        moves = jnp.log(jax.random.uniform(accept_key, (), old.dtype)) < log_ratio
        step = _learn_step(state.step, acceptance, jnp.asarray(tuning.target_acceptance), made)
        position = jnp.where(moves, made.position, state.position)
        log_density = jnp.where(moves, new, old)
        total, remainder = two_sum(state.reference, log_density)
        taken, accepted = state.taken + 1, state.accepted + acceptance
        undefined = state.undefined + jnp.isnan(new).astype(jnp.int32)
        stats = {
            "lp": total,
            "acceptance_rate": accepted / taken.astype(accepted.dtype),
            "n_steps": taken,
            "n_nan": undefined,
            "step_size": step_size,
            "step_size_bar": jnp.exp(step.log_average),
        }
        complete = taken >= jnp.asarray(tuning.steps)
        tick = Tick(complete, position, jnp.zeros((0,), position.dtype), stats)
        counts = (taken, accepted, undefined)
        counts = jax.tree.map(lambda a: jnp.where(complete, 0, a), counts)
        # Where the chain is, is the new reference, so that near it no digits are lost.
        return ProposalState(position, total, remainder, step, *counts), tick

    def end_window(
        self, tuning: ProposalTuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        dtype = np.asarray(tuning.step_size).dtype
        if not windows:
            step_size = median_step(recent[-1].stats["step_size_bar"][:, -1])
            learned = np.asarray(step_size, dtype)
            return WindowEnd(eqx.tree_at(lambda t: t.step_size, tuning, learned), windows)
        moves = self._learn_moves(tuning.moves, [window.positions for window in recent])
        # With other moves the step size has another unit.
        step_size = np.asarray(self._first_step(recent[-1].positions.shape[-1]), dtype)
        end = ProposalTuning(step_size, tuning.target_acceptance, tuning.steps, moves)
        return WindowEnd(end, windows)


def _learn_step(step: StepSize, acceptance: Scalar, target: Scalar, made: Proposal) -> StepSize:
    """Let the step size learn from a proposal of warm-up whose length depends on it."""
    due = step.adapting & made.is_scaled
    averaged = average_log_steps(step, acceptance, target)
    return jax.tree.map(lambda new, old: jnp.where(due, new, old), averaged, step)
