"""Sum many numbers in single precision, and keep the remainder lost to rounding."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..types import Scalar

# A plain sum of up to this many numbers is right to its last few bits.
SHORT = 1024
# Number of neighbors added by a plain sum, whose rounding error is far below that of the total.
BLOCK = 32


def two_sum(one: Array, other: Array) -> tuple[Array, Array]:
    """Add two numbers; return the rounded sum and its exact rounding error.

    Source: Knuth (1997), The Art of Computer Programming 2, section 4.2.2, theorem B.
    """
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


@jax.custom_jvp
def long_sum(numbers: Array) -> tuple[Scalar, Scalar]:
    """Sum all numbers of an array of any shape.

    Returns:
        The sum and its remainder: together they are as exact as the plain sums of 32 numbers
        from which they are computed.
    """
    flat = numbers.reshape(-1)
    if flat.size <= SHORT:
        return flat.sum(), jnp.zeros((), flat.dtype)
    padded = jnp.pad(flat, (0, -flat.size % BLOCK))
    sums = padded.reshape(-1, BLOCK).sum(1)
    zero = jnp.zeros((), flat.dtype)
    total, remainder = jax.lax.reduce(
        (sums, jnp.zeros_like(sums)), (zero, zero), _add_with_remainder, (0,)
    )
    return total, remainder


@long_sum.defjvp
def _long_sum_jvp(primals: tuple, tangents: tuple) -> tuple:
    (tangent,) = tangents
    return long_sum(*primals), (tangent.sum(), jnp.zeros((), tangent.dtype))


def _add_with_remainder(
    one: tuple[Array, Array], other: tuple[Array, Array]
) -> tuple[Array, Array]:
    total, lost = two_sum(one[0], other[0])
    return total, one[1] + other[1] + lost
