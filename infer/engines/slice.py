"""Slice sampling along learned directions: no gradient, no step size, and no rejected draws."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..errors import EngineError
from ..numerics.long_sum import two_sum
from ..numerics.spread import first_factor, learn_factor, take_direction
from ..target import Components, Target
from ..types import Scalar, Vector
from .base import Draws, Examples, Tick, WindowEnd
from .without_gradient import WithoutGradient

# What the next tick evaluates: the left end of the interval, its right end, or a point inside. At
# `BEGIN` it draws an interval first, and evaluates its left end.
LEFT, RIGHT, INSIDE, BEGIN = range(4)
# An interval that has shrunk to so many rounding errors ends where it began.
ROUNDINGS = 16


class SliceTuning(eqx.Module):
    """The tuning of a slice sampler; traced.

    Attributes:
        factor: Its columns are the directions, see `numerics.spread`.
        width: First length of an interval, in units of a column.
        most_steps: Maximum length of an interval, in units of `width`.
    """

    factor: Float[Array | np.ndarray, "size *size2"]
    width: Scalar | np.ndarray
    most_steps: Int[Array, ""] | np.ndarray


class SliceState(NamedTuple):
    """One chain, and the interval around its position along the present direction.

    Attributes:
        position: Where it is.
        reference: The reference from which log densities are measured, in nats.
        log_density: Log density there, relative to the reference.
        level: Log density that points of the slice exceed, relative to the reference.
        left: Left end of the interval, at most 0, in units of the direction.
        right: Right end, at least 0.
        spare: How often each end may still move out, shape (2,).
        phase: What the next tick evaluates.
        axis: Index of the direction.
        taken: Evaluations since the last draw.
        undefined: How many of them gave NaN.
    """

    position: Vector
    reference: Scalar
    log_density: Scalar
    level: Scalar
    left: Scalar
    right: Scalar
    spare: Int[Array, "2"]
    phase: Int[Array, ""]
    axis: Int[Array, ""]
    taken: Int[Array, ""]
    undefined: Int[Array, ""]


@dataclass(frozen=True)
class Slice(WithoutGradient):
    """Slice sampling with stepping out and shrinkage; a tick is one evaluation, without a gradient.

    A draw updates the position along each column of a factor of the covariance, which all chains
    learn together in warm-up, so that for a nearly normal posterior consecutive draws are nearly
    independent. It takes about five evaluations for each coordinate.

    Attributes:
        width: First length of an interval, in standard deviations.
        most_steps: Maximum length of an interval, in units of `width`.

    Source: Neal (2003), Slice sampling, figures 3 and 5, along the directions of the covariance.
    """

    examples: ClassVar[Examples] = Examples(invalid={"width": 0.0})
    width: float = field(default=3.0, compare=False)
    most_steps: int = field(default=20, compare=False)

    def __post_init__(self) -> None:
        if not 0 < self.width < np.inf:
            raise EngineError("Slice", f"width is {self.width}", "Give a positive number.")
        if self.most_steps < 1:
            raise EngineError(
                "Slice", f"most_steps is {self.most_steps}", "Give a whole number of at least 1."
            )

    def first_tuning(
        self, target: Target, positions: np.ndarray, gradients: np.ndarray
    ) -> SliceTuning:
        dtype = positions.dtype
        return SliceTuning(
            first_factor(positions.shape[1], dtype),
            np.asarray(self.width, dtype),
            np.asarray(self.most_steps, np.int32),
        )

    def reuse(self, learned: SliceTuning, fresh: SliceTuning) -> SliceTuning:
        return SliceTuning(learned.factor, fresh.width, fresh.most_steps)

    def init(self, position: Vector, here: Components) -> SliceState:
        none, zero = jnp.int32(0), 0 * here.value
        spare = jnp.zeros(2, jnp.int32)
        return SliceState(
            position, here.value, zero, zero, zero, zero, spare, jnp.int32(BEGIN), none, none, none
        )

    def tick(
        self, key: Array, target: Target, tuning: SliceTuning, state: SliceState
    ) -> tuple[SliceState, Tick]:
        key, width = jax.random.fold_in(key, state.taken), jnp.asarray(tuning.width)
        numbers = jax.random.uniform(key, (4,), state.position.dtype)
        begun = _begin(numbers, width, jnp.asarray(tuning.most_steps), state)
        place = begun.left + numbers[3] * (begun.right - begun.left)
        place = jnp.where(begun.phase == LEFT, begun.left, place)
        place = jnp.where(begun.phase == RIGHT, begun.right, place)
        direction = take_direction(jnp.asarray(tuning.factor), state.axis)
        there = state.position + place * direction
        log_density = target.value_from(there, state.reference)
        # NaN lies on no slice, and an infinite density would never be left.
        is_on = (log_density > begun.level) & (log_density < jnp.inf)
        after = _step_out(begun, width, is_on)
        after = _shrink(begun, after, place, is_on)
        is_taken = (begun.phase == INSIDE) & is_on
        after = after._replace(
            position=jnp.where(is_taken, there, state.position),
            log_density=jnp.where(is_taken, log_density, state.log_density),
            taken=state.taken + 1,
            undefined=state.undefined + jnp.isnan(log_density).astype(jnp.int32),
        )
        complete = after.axis == state.position.size
        total, remainder = two_sum(after.reference, after.log_density)
        stats = {"lp": total, "n_steps": after.taken, "n_nan": after.undefined}
        tick = Tick(complete, after.position, jnp.zeros((0,), place.dtype), stats)
        counts = (after.axis, after.taken, after.undefined)
        axis, taken, undefined = (jnp.where(complete, 0, a) for a in counts)
        # Every draw is the new reference, so that near it no digits are lost.
        reference = jnp.where(complete, total, after.reference)
        own = jnp.where(complete, remainder, after.log_density)
        after = after._replace(reference=reference, log_density=own, axis=axis, taken=taken)
        return after._replace(undefined=undefined), tick

    def end_window(
        self, tuning: SliceTuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        factor = learn_factor([window.positions for window in recent], np.asarray(tuning.factor))
        return WindowEnd(eqx.tree_at(lambda t: t.factor, tuning, factor), windows)


def _begin(numbers: Array, width: Scalar, most: Array, state: SliceState) -> SliceState:
    """Draw a level and an interval if the chain is to begin with a direction."""
    left = -width * numbers[1]
    out_left = jnp.floor(numbers[2] * most.astype(numbers.dtype)).astype(jnp.int32)
    begun = state._replace(
        level=state.log_density + jnp.log(numbers[0]),
        left=left,
        right=left + width,
        spare=jnp.stack([out_left, most - 1 - out_left]),
        phase=jnp.int32(LEFT),
    )
    return _where(state.phase == BEGIN, begun, state)


def _step_out(state: SliceState, width: Scalar, is_on: Bool[Array, ""]) -> SliceState:
    """Move the end that was evaluated out if it lies on the slice; otherwise go on to the next."""
    is_left, is_right = state.phase == LEFT, state.phase == RIGHT
    goes_out = is_on & (state.spare > 0) & jnp.stack([is_left, is_right])
    is_done = (is_left | is_right) & ~goes_out.any()
    return state._replace(
        left=jnp.where(goes_out[0], state.left - width, state.left),
        right=jnp.where(goes_out[1], state.right + width, state.right),
        spare=state.spare - goes_out.astype(jnp.int32),
        phase=state.phase + is_done.astype(jnp.int32),
    )


def _shrink(
    before: SliceState, after: SliceState, place: Scalar, is_on: Bool[Array, ""]
) -> SliceState:
    """End the direction at a point on the slice, or shrink the interval to a point that is not."""
    is_inside = before.phase == INSIDE
    is_empty = before.right - before.left <= ROUNDINGS * jnp.finfo(place.dtype).eps
    ends = is_inside & (is_on | is_empty)
    shrinks = is_inside & ~ends
    return after._replace(
        left=jnp.where(shrinks & (place < 0), place, after.left),
        right=jnp.where(shrinks & (place >= 0), place, after.right),
        phase=jnp.where(ends, BEGIN, after.phase),
        axis=before.axis + ends.astype(jnp.int32),
    )


def _where(condition: Bool[Array, ""], new: SliceState, old: SliceState) -> SliceState:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)
