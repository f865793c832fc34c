"""Draw standard normal numbers in single precision on a CPU in less time than JAX does."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from .threefry import hash_counters

# Coefficients of erfinv(x) / x, from the highest power: of w - 2.5 if w = -log(1 - x^2) is below 5,
# and of sqrt(w) - 3 above.
# Source: Giles (2012), Approximating the erfinv function, GPU Computing Gems, table 5.
CENTER = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
CENTER += (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
TAIL = (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
TAIL += (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)
# Turns of the loop that draws; XLA would not keep a loop of one.
PARTS = 2


def draw_normals(key: Array, shape: Sequence[int], dtype: Any) -> Array:
    """Draw the numbers of `jax.random.normal`, up to rounding.

    Args:
        key: A key of the generator of `keys.py`.
        shape: Of the result.
        dtype: Of the result.
    """
    if np.dtype(dtype) != np.float32 or jax.default_backend() != "cpu":
        return jax.random.normal(key, shape, dtype)
    # JAX hashes in a loop whose turns are compiled apart, and its erfinv takes twice as long.
    count, words = math.prod(shape), jax.random.key_data(key)
    part = -(-count // PARTS)
    # XLA would compute them again for each use, but not what a loop has stored.
    draw = lambda first: _draw(part, words, first)  # noqa: E731
    numbers = jax.lax.map(draw, part * jnp.arange(PARTS, dtype=jnp.uint32))
    return numbers.reshape(-1)[:count].reshape(shape)


def _draw(count: int, key: UInt32[Array, "2"], first: UInt32[Array, ""]) -> Float[Array, "count"]:
    counters = first + jax.lax.iota(jnp.uint32, count)
    left, right = hash_counters(key, jnp.zeros_like(counters), counters)
    # The bits of a number in [1, 2): random mantissa, exponent of 1.
    mantissas = ((left ^ right) >> np.uint32(9)) | np.uint32(0x3F800000)
    least = np.nextafter(np.float32(-1), np.float32(0))
    number = jax.lax.bitcast_convert_type(mantissas, jnp.float32) - 1
    return np.float32(math.sqrt(2)) * _erfinv(jnp.maximum(least, number * (1 - least) + least))


def _erfinv(x: Float[Array, "count"]) -> Float[Array, "count"]:
    w = -jnp.log((1 - x) * (1 + x))
    is_central = w < 5
    w = jnp.where(is_central, w - 2.5, jnp.sqrt(w) - 3)
    ratio = jnp.zeros_like(x)
    for central, outer in zip(CENTER, TAIL, strict=True):
        ratio = ratio * w + jnp.where(is_central, np.float32(central), np.float32(outer))
    return ratio * x
