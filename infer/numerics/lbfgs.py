"""The limited-memory BFGS approximation of an inverse Hessian, from the last steps of a search."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .namespace import Count, Flag, Scalar, Vector, choose

# Pairs of steps and changes that are kept: as many as there are coordinates, between these numbers,
# if all take 2^21 numbers at most. Nocedal & Wright (2006), section 7.2, recommend 3 to 20, and
# SciPy's L-BFGS-B keeps 10; with 60 of them, a Newton step remembers all of its directions, and the
# seven searches of benchmarks/search_constants.py take 1304 gradients, not 2414 with 26 or 3025
# with 10.
FEWEST_PAIRS, MOST_PAIRS = 10, 60
MOST_NUMBERS = 2**20


class Memory(NamedTuple):
    """The last steps of a search and what they changed in the gradient, the newest at `newest`.

    Attributes:
        pairs: Changes of the position, and changes of the gradient of the loss; shape
            (2, pairs, size).
        weights: 1 / (step @ change), shape (pairs,); 0 for an empty row.
        scale: The approximation for vectors orthogonal to all rows, as a multiple of the identity.
        newest: Index of the row that was written last.
    """

    pairs: Float[Array, "2 pairs size"]
    weights: Float[Array, "pairs"]
    scale: Scalar
    newest: Count


def empty_memory(gradient: Vector) -> Memory:
    """Make a memory without pairs, in whose metric a first step has a length of 1 at most."""
    pairs = count_pairs(gradient.shape[0])
    rows = jnp.zeros((2, pairs, gradient.shape[0]), gradient.dtype)
    return Memory(rows, rows[0, :, 0], _first_scale(gradient), jnp.int32(pairs - 1))


def count_pairs(size: int) -> int:
    """Return how many pairs are kept for vectors of a size."""
    room = MOST_NUMBERS // max(size, 1)
    return max(FEWEST_PAIRS, min(size, MOST_PAIRS, room))


def _first_scale(gradient: Vector) -> Scalar:
    length = jnp.linalg.norm(gradient)
    return 1 / jnp.where(jnp.isfinite(length), jnp.maximum(length, 1.0), 1.0)


def forget(memory: Memory, gradient: Vector, is_forgotten: Flag) -> Memory:
    """Make the memory an empty one, if it is to be forgotten; rows of no weight have no effect."""
    return memory._replace(
        weights=jnp.where(is_forgotten, 0.0, memory.weights),
        scale=jnp.where(is_forgotten, _first_scale(gradient), memory.scale),
    )


def remember(memory: Memory, step: Vector, change: Vector, is_taken: Flag) -> Memory:
    """Replace the oldest pair, if the step was taken and the loss is convex along it.

    Source: Nocedal & Wright (2006), equation 7.20 for the scale.
    """
    product, square = step @ change, change @ change
    floor = jnp.finfo(step.dtype).eps * memory.scale * square
    is_kept = is_taken & jnp.isfinite(square) & (product > floor)
    row = jnp.where(is_kept, (memory.newest + 1) % len(memory.weights), memory.newest)
    old = jax.lax.dynamic_index_in_dim(memory.pairs, row, 1, keepdims=False)
    new = choose(is_kept, jnp.stack([step, change]), old)
    weight = jnp.where(is_kept, 1 / jnp.where(is_kept, product, 1.0), memory.weights[row])
    scale = product / jnp.where(is_kept, square, 1.0)
    return Memory(
        jax.lax.dynamic_update_index_in_dim(memory.pairs, new, row, 1),
        jax.lax.dynamic_update_index_in_dim(memory.weights, weight, row, 0),
        jnp.where(is_kept, scale, memory.scale),
        row,
    )


def multiply_inverse(memory: Memory, vector: Vector) -> Vector:
    """Multiply the approximate inverse Hessian of the loss by a vector.

    Source: Nocedal & Wright (2006), algorithm 7.4, the two-loop recursion.
    """
    # From the newest pair to the oldest and back in one loop, which compiles faster.
    count = len(memory.weights)

    def visit(carry: tuple[Array, Array], k: Array) -> tuple[tuple[Array, Array], None]:
        vector, shares = carry
        goes_back = k >= count
        row = (memory.newest - jnp.where(goes_back, 2 * count - 1 - k, k)) % count
        pair = jax.lax.dynamic_index_in_dim(memory.pairs, row, 1, keepdims=False)
        own, other = jnp.where(goes_back, pair[::-1], pair)
        vector = jnp.where(k == count, memory.scale, 1.0) * vector
        share = memory.weights[row] * (own @ vector)
        return (
            vector + (shares[row] - share) * other,
            jax.lax.dynamic_update_index_in_dim(shares, share, row, 0),
        ), None

    begun = vector, jnp.zeros_like(memory.weights)
    return jax.lax.scan(visit, begun, jnp.arange(2 * count, dtype=jnp.int32))[0][0]
