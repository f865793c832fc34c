"""Draw standard normal numbers in single precision in half of JAX's time: two for each hash."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex64, Float, UInt32

from .threefry import hash_counters

# Terms of the series of sine and cosine, at most an eighth of a turn from zero. The first one left
# out is below 2.5e-8.
TERMS = 5
# Turns of the loop that draws; XLA would not keep a loop of one.
PARTS = 2


def draw_normals(key: Array, shape: Sequence[int], dtype: Any) -> Array:
    """Draw independent standard normal numbers; those of `jax.random.normal` unless float32.

    Args:
        key: A key of the generator of `keys.py`.
        shape: Shape of the result.
        dtype: Type of the result.

    Source: Box & Muller (1958), A note on the generation of random normal deviates.
    """
    if np.dtype(dtype) != np.float32:
        return jax.random.normal(key, shape, dtype)
    count, words = math.prod(shape), jax.random.key_data(key)
    pairs = -(-count // 2)
    if jax.default_backend() == "cpu":
        numbers = _draw_in_loops(pairs, words)
    else:
        own = _draw_pairs(words, jax.lax.iota(jnp.uint32, pairs))
        numbers = jnp.stack([own.real, own.imag])
    return numbers.reshape(-1)[:count].reshape(shape)


def _draw_in_loops(pairs: int, words: UInt32[Array, "2"]) -> Float[Array, "2 pairs"]:
    """Draw pairs, then separate them.

    XLA computes what has two results twice, and numbers again for each use, but neither a complex
    number nor what a loop has stored.
    """
    part = -(-pairs // PARTS)
    draw = lambda first: _draw_pairs(words, first + jax.lax.iota(jnp.uint32, part))  # noqa: E731
    drawn = jax.lax.map(draw, part * jnp.arange(PARTS, dtype=jnp.uint32)).reshape(-1)[:pairs]
    take = lambda is_second: jnp.where(is_second, drawn.imag, drawn.real)  # noqa: E731
    return jax.lax.map(take, jnp.array([False, True]))


def _draw_pairs(
    words: UInt32[Array, "2"], counters: UInt32[Array, "pairs"]
) -> Complex64[Array, "pairs"]:
    """Return two standard normal numbers for each counter, from the two words of its hash.

    Args:
        words: The words of the key.
        counters: Distinct for each pair.

    Returns:
        The pairs as complex numbers, with an absolute value of at most sqrt(62 log 2) = 6.6.
    """
    left, right = hash_counters(words, jnp.zeros_like(counters), counters)
    # Odd 31-bit numbers, so that none is zero; conversions of signed numbers are fast.
    odd = ((left >> np.uint32(1)) | np.uint32(1)).astype(jnp.int32)
    radius = jnp.sqrt(-2 * jnp.log(odd.astype(jnp.float32) * np.float32(2.0**-31)))
    # Two bits choose the quarter of the circle, and the others the angle from its middle.
    bits = jax.lax.bitcast_convert_type(right << np.uint32(2), jnp.int32)
    sine, cosine = _sine_and_cosine(bits.astype(jnp.float32) * np.float32(math.pi / 4 * 2.0**-31))
    radius = jnp.where(right >> np.uint32(31) == 0, radius, -radius)
    is_turned = right & np.uint32(2**30) != 0
    first, second = jnp.where(is_turned, sine, cosine), jnp.where(is_turned, cosine, sine)
    return jax.lax.complex(radius * first, radius * second)


def _sine_and_cosine(angle: Float[Array, "pairs"]) -> tuple[Array, Array]:
    """Compute sine and cosine by their series about zero.

    Args:
        angle: In radians, from -pi/4 to pi/4.

    Returns:
        The sine, within sqrt(1/2) of zero, and the cosine, from sqrt(1/2) to one, up to 2.5e-8 and
        rounding.
    """
    square = angle * angle
    sine = cosine = jnp.zeros_like(angle)
    for k in reversed(range(TERMS)):
        sine = sine * square + np.float32((-1) ** k / math.factorial(2 * k + 1))
        cosine = cosine * square + np.float32((-1) ** k / math.factorial(2 * k))
    return angle * sine, cosine
