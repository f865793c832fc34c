"""The real line, with the identity as map."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Elementwise, Image, ScalarConstraint


class Real(ScalarConstraint):
    """All finite numbers."""

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return jnp.isfinite(value)


class Identity(Elementwise):
    """x = y, with log-determinant 0."""

    def image(self, y: Float[Array, ""]) -> Image:
        return Image.of(y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return x
