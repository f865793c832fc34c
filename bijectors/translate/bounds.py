"""Read, cover, join and reshape the bounds of sets of numbers."""

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

# A lower and an upper end of a set of numbers; None where it goes on for ever.
Ends = tuple[Any, Any]


def ends_of(constraint: Constraint) -> Ends | None:
    """Return the two ends of a set of numbers, and nothing for other sets."""
    if isinstance(constraint, Real):
        return None, None
    if isinstance(constraint, Positive | Nonnegative):
        return 0.0, None
    if isinstance(constraint, GreaterThan | LessThan | Interval):
        return getattr(constraint, "low", None), getattr(constraint, "high", None)
    return None


def numbers(low: Any, high: Any) -> Constraint:
    """Make the set of the numbers between two ends."""
    if high is not None:
        return LessThan(high) if low is None else Interval(low, high)
    if low is None:
        return Real()
    return Positive() if is_zero(low) else GreaterThan(low)


def is_zero(end: Any) -> bool:
    """Tell whether an end is zero whatever the data are: an array may change."""
    return isinstance(end, float) and end == 0


def cover(sets: Sequence[Constraint]) -> Constraint | None:
    """Find one set that holds all of `sets` and is of their kind, if there is one."""
    first = sets[0]
    if all(_without_bounds(each, first) for each in sets):
        return first
    ends = [ends_of(each) for each in sets]
    if any(each is None for each in ends):
        return None
    lows, highs = zip(*[each for each in ends if each is not None], strict=True)
    if _disagree(lows) or _disagree(highs):
        return None
    return numbers(_fold(jnp.minimum, lows), _fold(jnp.maximum, highs))


def cover_over(
    constraint: Constraint, whole: Shape, axis: int, keepdims: bool
) -> Constraint | None:
    """Find one set that holds all sets along one axis of the values of shape `whole`."""
    if not jax.tree.leaves(constraint):
        return constraint
    ends = ends_of(constraint)
    if ends is None:
        return None
    low, high = (None if end is None else jnp.broadcast_to(end, whole) for end in ends)
    low = None if low is None else low.min(axis, keepdims=keepdims)
    high = None if high is None else high.max(axis, keepdims=keepdims)
    return numbers(low, high)


def join(sets: Sequence[Constraint], wholes: Sequence[Shape], axis: int) -> Constraint | None:
    """Join the bounds of sets, whose values have the shapes `wholes`, along one axis."""
    first = sets[0]
    if all(_without_bounds(each, first) for each in sets):
        return first
    if any(jax.tree.structure(each) != jax.tree.structure(first) for each in sets):
        return None

    def joined(*bounds: Any) -> jax.Array:
        pairs = zip(bounds, wholes, strict=True)
        return jnp.concatenate([jnp.broadcast_to(b, whole) for b, whole in pairs], axis)

    return jax.tree.map(joined, *sets)


def reshape(constraint: Constraint, whole: Shape, shape: Shape) -> Constraint:
    """Give bounds of values of shape `whole` another shape."""
    return jax.tree.map(lambda b: jnp.broadcast_to(b, whole).reshape(shape), constraint)


def _without_bounds(each: Constraint, first: Constraint) -> bool:
    same = jax.tree.structure(each) == jax.tree.structure(first)
    return same and not jax.tree.leaves(each)


def _disagree(ends: Sequence[Any]) -> bool:
    return len({end is None for end in ends}) > 1


def _fold(function: Any, ends: Sequence[Any]) -> Any:
    found = ends[0]
    for end in ends[1:]:
        found = None if found is None else function(found, end)
    return found
