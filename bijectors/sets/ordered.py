"""Vectors in increasing order, with a cumulative sum of exponentials as map."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, VectorConstraint, Vectorwise, bijection
from ..elementary import running_sums


class Ordered(VectorConstraint):
    """Vectors of `size` finite numbers, each larger than the one before it."""

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        return jnp.all(jnp.diff(value) > 0, -1) & jnp.all(jnp.isfinite(value), -1)


class CumulatedExp(Vectorwise):
    """x_1 = y_1, x_k = x_{k-1} + exp(y_k), with log-determinant sum_{k > 1} y_k.

    Source: Stan reference manual, "Ordered vector".
    """

    def image(self, y: Float[Array, "k"]) -> Image:
        value = running_sums(y[0], jnp.exp(y[1:]))
        return bijection(value, y[1:].sum())

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "k"]:
        return jnp.concatenate([x[:1], jnp.log(jnp.diff(x))])
