"""Numbers between -1 and 1, with an algebraic sigmoid as map."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Elementwise, Image, ScalarConstraint, bijection


class SignedUnit(ScalarConstraint):
    """Numbers between -1 and 1."""

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return jnp.abs(value) < 1


class AlgebraicSigmoid(Elementwise):
    """x = y / sqrt(1 + y^2), with log-determinant -3/2 log(1 + y^2)."""

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(y / jnp.sqrt(1 + y**2), -1.5 * jnp.log1p(y**2))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return x / jnp.sqrt((1 - x) * (1 + x))
