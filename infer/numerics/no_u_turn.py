"""The doubling trajectory of NUTS, grown one leaf at a time, without recursion.

A tree doubles by growing, from one of its ends, a subtree of as many leaves as it has. The
subtree's leaves are numbered 0, 1, 2, .... Whether a part of it turns is tested in `turns.py`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..types import Scalar, Vector
from .hamiltonian import DIVERGENT, nan_as_divergence
from .leapfrog import PhasePoint, energy
from .line_integral import Path
from .materialize import materialize
from .turns import Slots, has_turned, is_turning, store


class Candidate(NamedTuple):
    """A leaf that may become the draw; `log_weight` is the start's energy minus the leaf's."""

    position: Vector
    gradient: Vector
    log_density: Scalar
    log_weight: Scalar
    path: Path | None = None


class Ends(NamedTuple):
    """The left and the right end of a tree, along a leading axis of 2."""

    position: Float[Array, "2 size"]
    momentum: Float[Array, "2 size"]
    whitened_gradient: Float[Array, "2 size"]
    path: Any = None


class Subtree(NamedTuple):
    """The growing part of a tree.

    Attributes:
        leaf: Number of leaves so far.
        log_weight: Logarithm of the sum of their weights.
        momentum_sum: Sum of their momenta.
        candidate: A leaf chosen among them with probability proportional to its weight.
    """

    leaf: Int[Array, ""]
    log_weight: Scalar
    momentum_sum: Vector
    candidate: Candidate


class Tree(NamedTuple):
    """A trajectory of completed doublings, and the subtree that will double it.

    Attributes:
        ends: Its two ends; the growing end moves with the subtree.
        log_weight: Logarithm of the sum of its leaves' weights.
        momentum_sum: Sum of its leaves' momenta.
        chosen: The candidate for the draw.
        subtree: The growing part.
        side: Which end grows: 0 left, 1 right.
        depth: Number of doublings so far.
        start_energy: Energy of the first point, in nats.
        acceptance_sum: Sum of min(1, weight) over all leaves but the first.
        n_steps: Number of leaves but the first.
        diverging: Whether the last leaf was divergent.
        done: Whether the trajectory has ended.
    """

    ends: Ends
    log_weight: Scalar
    momentum_sum: Vector
    chosen: Candidate
    subtree: Subtree
    side: Int[Array, ""]
    depth: Int[Array, ""]
    start_energy: Scalar
    acceptance_sum: Scalar
    n_steps: Int[Array, ""]
    diverging: Bool[Array, ""]
    done: Bool[Array, ""]


def begin(point: PhasePoint) -> Tree:
    """Make a tree of one leaf."""
    zero = jnp.zeros_like(point.log_density)
    choice = Candidate(point.position, point.gradient, point.log_density, zero, point.path)
    ends = jax.tree.map(lambda a: jnp.stack([a, a]), _end(point))
    none, no = jnp.int32(0), jnp.asarray(False)
    return Tree(
        ends, zero, point.momentum, choice, _empty_subtree(choice), none, none, energy(point),
        zero, none, no, no,
    )  # fmt: skip


def _empty_subtree(choice: Candidate) -> Subtree:
    nothing = jnp.full_like(choice.log_density, -jnp.inf)
    return Subtree(jnp.int32(0), nothing, jnp.zeros_like(choice.position), choice)


def find_growing_end(tree: Tree, uniform: Scalar) -> tuple[Tree, PhasePoint, Scalar]:
    """Return the end from which the next leaf grows, and +1 or -1 for its direction in time.

    The side of a new subtree is drawn with `uniform`, a number in (0, 1).
    """
    right = jnp.where(tree.subtree.leaf == 0, uniform < 0.5, tree.side == 1)
    side = materialize(right, tree.n_steps).astype(jnp.int32)
    end = jax.tree.map(lambda a: jnp.where(side == 1, a[1], a[0]), tree.ends)
    sign = (2 * side - 1).astype(uniform.dtype)
    # A step reads neither the gradient nor the log density at its start.
    unread = tree.chosen.gradient, tree.chosen.log_density
    point = PhasePoint(
        end.position, end.momentum, unread[0], end.whitened_gradient, unread[1], end.path
    )
    return tree._replace(side=side), point, sign


def join(
    tree: Tree, slots: Slots, point: PhasePoint, uniforms: Float[Array, "2"]
) -> tuple[Tree, Slots]:
    """Add one leaf to the growing subtree; merge the subtree into the tree when it ends.

    Args:
        tree: The tree, with its side drawn.
        slots: Memory of the subtree's leaves.
        point: The new leaf, one step beyond the growing end.
        uniforms: Numbers in (0, 1): for the choice within the subtree, and for that between the
            tree and the subtree.

    Returns:
        The tree, `done` if it turned, diverged or reached the maximum depth; and the memory.

    Source: Betancourt (2017), appendix A; Stan's base_nuts for the extra checks.
    """
    log_weight = materialize(nan_as_divergence(tree.start_energy - energy(point)), tree.n_steps)
    before = jnp.where(tree.side == 1, tree.ends.momentum[1], tree.ends.momentum[0])
    leaf = tree.subtree.leaf
    subtree = _add_leaf(tree.subtree, point, log_weight, uniforms[0])
    turned = has_turned(slots, leaf, point.momentum, subtree.momentum_sum)
    diverging = log_weight < -DIVERGENT
    whole = subtree.leaf == jnp.left_shift(1, tree.depth)
    tree = tree._replace(
        ends=_move_end(tree.ends, tree.side, point),
        subtree=subtree,
        acceptance_sum=tree.acceptance_sum + jnp.minimum(1.0, jnp.exp(log_weight)),
        n_steps=tree.n_steps + 1,
        diverging=diverging,
    )
    valid = materialize(whole & ~turned & ~diverging, tree.n_steps)
    ended = materialize(whole | turned | diverging, tree.n_steps)
    # The subtree's first momentum, and the neighboring one at the end of the tree.
    first = jnp.where(leaf == 0, point.momentum, slots[0, 0])
    seam = jnp.where(leaf == 0, before, slots[0, 2])
    done = ended & (~valid | _is_turning_when_doubled(tree, first, seam, point.momentum))
    done = materialize(done | (valid & (tree.depth + 1 >= slots.shape[0] - 1)), tree.n_steps)
    # Written after all reads, and only if more leaves may follow, so that XLA needs no copy.
    kept = (leaf % 2 == 0) & ~done
    slots = store(slots, leaf, kept, point.momentum, subtree.momentum_sum, before)
    return _merge(tree, uniforms[1], valid, ended)._replace(done=done), slots


def _add_leaf(subtree: Subtree, point: PhasePoint, log_weight: Scalar, uniform: Scalar) -> Subtree:
    total = materialize(jnp.logaddexp(subtree.log_weight, log_weight), subtree.leaf)
    take = materialize(jnp.log(uniform) < log_weight - total, subtree.leaf)
    new = Candidate(point.position, point.gradient, point.log_density, log_weight, point.path)
    return Subtree(
        subtree.leaf + 1,
        total,
        subtree.momentum_sum + point.momentum,
        _select(take, new, subtree.candidate),
    )


def _select(condition: Bool[Array, ""], one: Candidate, other: Candidate) -> Candidate:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def _end(point: PhasePoint) -> Ends:
    return Ends(point.position, point.momentum, point.whitened_gradient, point.path)


def _move_end(ends: Ends, side: Int[Array, ""], point: PhasePoint) -> Ends:
    mine = (jnp.arange(2, dtype=jnp.int32) == side)[:, None]
    mask = lambda new: mine if new.ndim else mine[:, 0]  # noqa: E731
    moved = lambda new, old: jnp.where(mask(new), new[None], old)  # noqa: E731
    return jax.tree.map(moved, _end(point), ends)


def _is_turning_when_doubled(
    tree: Tree, first: Vector, seam: Vector, near: Vector
) -> Bool[Array, ""]:
    """Test the tree doubled by its subtree, and the two overlaps across the seam."""
    far = jnp.where(tree.side == 1, tree.ends.momentum[0], tree.ends.momentum[1])
    old, new = tree.momentum_sum, tree.subtree.momentum_sum
    return (
        is_turning(old + new, far, near)
        | is_turning(old + first, far, first)
        | is_turning(new + seam, seam, near)
    )


def _merge(tree: Tree, uniform: Scalar, valid: Bool[Array, ""], ended: Bool[Array, ""]) -> Tree:
    """Merge a subtree that is complete and valid into the tree; clear one that has ended."""
    subtree = tree.subtree
    # Biased toward the new half, which takes the draw farther from the start.
    is_heavier = jnp.log(uniform) < subtree.log_weight - tree.log_weight
    take = materialize(valid & is_heavier, tree.n_steps)
    log_weight = jnp.logaddexp(tree.log_weight, subtree.log_weight)
    momentum_sum = tree.momentum_sum + subtree.momentum_sum
    empty = _empty_subtree(subtree.candidate)
    return tree._replace(
        log_weight=jnp.where(valid, log_weight, tree.log_weight),
        momentum_sum=jnp.where(valid, momentum_sum, tree.momentum_sum),
        chosen=_select(take, subtree.candidate, tree.chosen),
        subtree=jax.tree.map(lambda new, old: jnp.where(ended, new, old), empty, subtree),
        depth=tree.depth + valid.astype(jnp.int32),
    )
