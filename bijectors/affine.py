"""Shift and scale: the map that writes a site of known location and scale non-centred."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from .base import Elementwise, Image, Parameter, as_parameter, bijection


class Affine(Elementwise):
    """x = location + scale * y, with log-determinant log|scale|.

    The by-product `standardised` is y, free of the rounding of (x - location) / scale.
    Source: Stan reference manual, "Affinely transformed scalar".
    """

    location: Parameter
    scale: Parameter

    def image(self, y: Float[Array, ""]) -> Image:
        location, scale = as_parameter(self.location, y), as_parameter(self.scale, y)
        return bijection(location + scale * y, jnp.log(jnp.abs(scale)), standardised=y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return (x - as_parameter(self.location, x)) / as_parameter(self.scale, x)
