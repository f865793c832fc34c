"""Increasing vectors of positive numbers, with a cumulative sum of exponentials as map."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, VectorConstraint, Vectorwise, bijection
from ..elementary import running_sums


class PositiveOrdered(VectorConstraint):
    """Vectors of `size` positive numbers, each larger than the one before it."""

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        rising = jnp.all(jnp.diff(value) > 0, -1)
        return rising & (value[..., 0] > 0) & jnp.all(jnp.isfinite(value), -1)


class CumulatedExpFromZero(Vectorwise):
    """x_1 = exp(y_1), x_k = x_{k-1} + exp(y_k), with log-determinant sum_k y_k.

    Source: Stan reference manual, "Positive ordered vector".
    """

    def image(self, y: Float[Array, "k"]) -> Image:
        gaps = jnp.exp(y)
        return bijection(running_sums(gaps[0], gaps[1:]), y.sum())

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "k"]:
        return jnp.log(jnp.diff(x, prepend=jnp.zeros(1, x.dtype)))
