"""The positive numbers, with the maps exp and softplus."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Elementwise, Image, ScalarConstraint, bijection
from ..elementary import inverse_softplus, softplus


class Positive(ScalarConstraint):
    """Finite numbers above zero."""

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        return (value > 0) & jnp.isfinite(value)


class Exp(Elementwise):
    """x = exp(y), with log-determinant y and by-product `log` = log x."""

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(jnp.exp(y), y, log=y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.log(x)


class Softplus(Elementwise):
    """x = log(1 + exp(y)), with log-determinant -log(1 + exp(-y)); linear far above zero."""

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(softplus(y), -softplus(-y))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return inverse_softplus(x)
