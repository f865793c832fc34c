"""Read, combine and reshape the bounds of sets of numbers."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..base import Constraint, Shape
from ..sets.bounds import GreaterThan, LessThan
from ..sets.interval import Interval
from ..sets.nonnegative import Nonnegative
from ..sets.positive import Positive
from ..sets.real import Real

# Lower and upper end of a set of numbers; None if it is unbounded.
Ends = tuple[Any, Any]


def ends_of(constraint: Constraint) -> Ends | None:
    """Return the two ends of a set of numbers, or `None` for other sets."""
    if isinstance(constraint, Real):
        return None, None
    if isinstance(constraint, Positive | Nonnegative):
        return 0.0, None
    if isinstance(constraint, GreaterThan | LessThan | Interval):
        return getattr(constraint, "low", None), getattr(constraint, "high", None)
    return None


def between(low: Any, high: Any) -> Constraint:
    """Make the set of the numbers between two ends."""
    if high is not None:
        return LessThan(high) if low is None else Interval(low, high)
    if low is None:
        return Real()
    return Positive() if is_zero(low) else GreaterThan(low)


def is_zero(end: Any) -> bool:
    """Return whether an end is the constant zero; an array may change with the data."""
    return isinstance(end, float) and end == 0


def cover(sets: Sequence[Constraint]) -> Constraint | None:
    """Return one set that contains all of `sets`, or `None` if they are of different kinds."""
    first = sets[0]
    if all(_is_same_without_bounds(each, first) for each in sets):
        return first
    ends = [ends_of(each) for each in sets]
    if any(each is None for each in ends):
        return None
    lows, highs = zip(*[each for each in ends if each is not None], strict=True)
    if _is_mixed(lows) or _is_mixed(highs):
        return None
    return between(_fold(jnp.minimum, lows), _fold(jnp.maximum, highs))


def cover_over(
    constraint: Constraint, whole: Shape, axis: int, keepdims: bool
) -> Constraint | None:
    """Return one set that contains the sets along one axis of values of shape `whole`."""
    if not jax.tree.leaves(constraint):
        return constraint
    ends = ends_of(constraint)
    if ends is None:
        return None
    low, high = (None if end is None else jnp.broadcast_to(end, whole) for end in ends)
    low = None if low is None else low.min(axis, keepdims=keepdims)
    high = None if high is None else high.max(axis, keepdims=keepdims)
    return between(low, high)


def join(sets: Sequence[Constraint], wholes: Sequence[Shape], axis: int) -> Constraint | None:
    """Concatenate the bounds of sets, whose values have shapes `wholes`, along one axis."""
    first = sets[0]
    if all(_is_same_without_bounds(each, first) for each in sets):
        return first
    if any(jax.tree.structure(each) != jax.tree.structure(first) for each in sets):
        return None

    def concatenate(*bounds: Any) -> jax.Array:
        pairs = zip(bounds, wholes, strict=True)
        return jnp.concatenate([jnp.broadcast_to(b, whole) for b, whole in pairs], axis)

    return jax.tree.map(concatenate, *sets)


def reshape(constraint: Constraint, whole: Shape, shape: Shape) -> Constraint:
    """Broadcast bounds to the shape `whole` and reshape them to `shape`."""
    return jax.tree.map(lambda b: jnp.broadcast_to(b, whole).reshape(shape), constraint)


def _is_same_without_bounds(each: Constraint, first: Constraint) -> bool:
    same = jax.tree.structure(each) == jax.tree.structure(first)
    return same and not jax.tree.leaves(each)


def _is_mixed(ends: Sequence[Any]) -> bool:
    return len({end is None for end in ends}) > 1


def _fold(function: Any, ends: Sequence[Any]) -> Any:
    return None if ends[0] is None else functools.reduce(function, ends)
