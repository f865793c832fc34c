"""The real line, mapped by the identity."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Constraint, Elementwise, Image


class Real(Constraint):
    """All finite numbers."""

    @property
    def event_ndims(self) -> int:
        return 0

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return jnp.isfinite(value)


class Identity(Elementwise):
    """x = y, with log-determinant 0."""

    def image(self, y: Float[Array, ""]) -> Image:
        return Image.of(y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return x
