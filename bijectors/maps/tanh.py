"""The hyperbolic tangent, from the reals onto (-1, 1)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Elementwise, Image, bijection
from ..elementary import log_sech_squared


class Tanh(Elementwise):
    """x = tanh(y), with log-determinant log(1 - tanh(y)^2)."""

    def image(self, y: Float[Array, ""]) -> Image:
        return bijection(jnp.tanh(y), log_sech_squared(y))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.arctanh(x)
