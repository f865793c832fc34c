"""Sums of many numbers in single precision, with the remainder that rounding would drop."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..types import Scalar

# Of so many numbers a plain sum is right to its last few bits.
SHORT = 1024
# Neighbours that are summed plainly: their sum rounds far less than the whole does.
BLOCK = 32


def two_sum(one: Array, other: Array) -> tuple[Array, Array]:
    """Add two numbers; return the rounded sum, and exactly what rounding took from it.

    Source: Knuth (1997), The Art of Computer Programming 2, section 4.2.2, theorem B.
    """
    total = one + other
    part = total - one
    return total, (one - (total - part)) + (other - part)


@jax.custom_jvp
def long_sum(numbers: Array) -> tuple[Scalar, Scalar]:
    """Sum all numbers of an array of any shape.

    Returns:
        The sum, and a remainder that belongs to it: together they are as exact as the sums of
        32 numbers that they are made of.
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
def _change(primals: tuple, tangents: tuple) -> tuple:
    (tangent,) = tangents
    return long_sum(*primals), (tangent.sum(), jnp.zeros((), tangent.dtype))


def _add_with_remainder(
    one: tuple[Array, Array], other: tuple[Array, Array]
) -> tuple[Array, Array]:
    total, lost = two_sum(one[0], other[0])
    return total, one[1] + other[1] + lost
