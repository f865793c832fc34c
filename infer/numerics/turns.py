"""Test whether a part of a growing subtree of NUTS turns back, without recursion.

To test all aligned sub-subtrees of a subtree, one slot of memory for each level is enough: an even
leaf n is stored in slot popcount(n >> 1), and an odd leaf completes the sub-subtrees that begin in
the last few slots.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..types import Vector

Slots = Float[Array, "slots 3 size"]


def make_slots(max_depth: int, like: Vector) -> Slots:
    """Make the memory for trees up to `max_depth`; the last row takes leaves not to be kept."""
    return jnp.zeros((max_depth + 1, 3, *like.shape), like.dtype)


def store(
    slots: Slots, leaf: Int[Array, ""], kept: Array, momentum: Vector, total: Vector, before: Vector
) -> Slots:
    """Store an even leaf in its slot: momentum, inclusive sum, and the momentum before it."""
    unused = slots.shape[0] - 1
    index = jnp.where(kept, jax.lax.population_count(leaf >> 1), unused)
    return jax.lax.dynamic_update_index_in_dim(
        slots, jnp.stack([momentum, total, before]), index, 0
    )


def has_turned(
    slots: Slots, leaf: Int[Array, ""], momentum: Vector, total: Vector
) -> Bool[Array, ""]:
    """Return whether a sub-subtree that ends at this leaf turns, as a whole or across halves."""
    last = jax.lax.population_count(leaf >> 1)
    closing = jax.lax.population_count(leaf & ~(leaf + 1))
    return jax.lax.platform_dependent(
        slots, last, closing, momentum, total, cpu=_has_turned_in_loop, default=_has_turned_at_once
    )


def _has_turned_in_loop(slots, last, closing, momentum, total) -> Bool[Array, ""]:
    """Test only the sub-subtrees that end here, one on average, in a loop."""

    def test(carry):
        level, _ = carry
        start, cumulated, _ = slots[level]
        next_start, next_cumulated, left_end = slots[level + 1]
        whole = total - cumulated + start
        right = total - next_cumulated + next_start
        halves = is_turning(whole - right + next_start, start, next_start) | is_turning(
            right + left_end, left_end, momentum
        )
        return level - 1, is_turning(whole, start, momentum) | ((level < last) & halves)

    def going(carry):
        level, turned = carry
        return (level > last - closing) & ~turned

    return jax.lax.while_loop(going, test, (last, jnp.asarray(False)))[1]


def _has_turned_at_once(slots, last, closing, momentum, total) -> Bool[Array, ""]:
    """Test all levels in one masked product: few kernels, and no chain waits for another's loop."""
    levels = jnp.arange(slots.shape[0] - 1, dtype=jnp.int32)
    closes = (levels <= last) & (levels > last - closing)
    test = lambda: jnp.any(closes & _find_turns(slots, momentum, total, levels < last))  # noqa: E731
    return jax.lax.cond(closing > 0, test, lambda: jnp.asarray(False))


def _find_turns(slots: Slots, momentum: Vector, total: Vector, has_halves: Array) -> Array:
    start, whole = slots[:-1, 0], total - slots[:-1, 1] + slots[:-1, 0]
    # The right half of the sub-subtree in one slot begins in the next slot. The last slot has no
    # halves: it is followed by the row that is not used.
    next_start, left_end = slots[1:, 0], slots[1:, 2]
    right = total - slots[1:, 1] + next_start
    left = whole - right
    halves = is_turning(left + next_start, start, next_start) | is_turning(
        right + left_end, left_end, momentum
    )
    return is_turning(whole, start, momentum) | (has_halves & halves)


def is_turning(momentum_sum: Array, one: Array, other: Array) -> Array:
    """Return whether either end moves against the sum of the momenta between them.

    Vectors are along the last axis, in the whitened space.

    Source: Betancourt (2017), appendix A.4.2.
    """
    return ((momentum_sum * one).sum(-1) <= 0) | ((momentum_sum * other).sum(-1) <= 0)
