"""Stretch a vector along a few directions, for the low-rank metric."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..types import Vector

# Number of directions that a CPU applies together: a cache line of float64.
BLOCK = 8


def stretch(vector: Vector, directions: Array, excess: Array) -> Vector:
    """Compute vector + U diag(excess) U^T vector.

    Args:
        vector: Shape (size,).
        directions: The columns U, shape (size, rank).
        excess: How much each is stretched, shape (rank,); zero for the padding, which comes last.
    """
    return jax.lax.platform_dependent(
        vector, directions, excess, cpu=stretch_by_blocks, default=stretch_at_once
    )


def stretch_by_blocks(vector: Vector, directions: Array, excess: Array) -> Vector:
    """Stretch along the directions block by block, so that the padding costs nothing."""
    rank = excess.shape[0]
    size = min(rank, BLOCK)
    used = jnp.sum(excess != 0, dtype=jnp.int32)

    def add(index: Array, total: Vector) -> Vector:
        begin = jnp.minimum(index * size, rank - size)
        block = jax.lax.dynamic_slice_in_dim(directions, begin, size, 1)
        # The last block may overlap the one before it.
        own = begin + jnp.arange(size, dtype=jnp.int32) >= index * size
        share = jnp.where(own, jax.lax.dynamic_slice_in_dim(excess, begin, size), 0)
        return total + block @ (share * (vector @ block))

    return jax.lax.fori_loop(jnp.int32(0), (used + size - 1) // size, add, vector)


def stretch_at_once(vector: Vector, directions: Array, excess: Array) -> Vector:
    """Stretch along all directions in one product, even if none stretches.

    The host of an accelerator would wait for the answer to whether one does, at each step. The
    product takes less time than to read and write the vectors of a chain's trajectory.
    """
    return vector + directions @ (excess * (vector @ directions))
