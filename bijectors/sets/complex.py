"""Complex numbers, with real and imaginary part as coordinates."""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Complex as ComplexArray, Float

from ..base import Bijector, Image, ScalarConstraint, Shape


class Complex(ScalarConstraint):
    """Finite complex numbers; the base measure is Lebesgue in real and imaginary part.

    Results contain the parts of a site `z` as `z.real` and `z.imag`.
    """

    def contains(self, value: ComplexArray[Array, "..."]) -> Bool[Array, "..."]:
        return jnp.isfinite(value)

    def coordinates(self, value: ComplexArray[Array, ""]) -> Float[Array, "2"]:
        return jnp.stack([value.real, value.imag])


class RealAndImaginary(Bijector):
    """x = y_1 + i y_2, with log-determinant 0."""

    @property
    def event_ndims(self) -> int:
        return 0

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (2,)

    def image(self, y: Float[Array, "2"]) -> Image:
        return Image.of(lax.complex(y[0], y[1]))

    def inverse(self, x: ComplexArray[Array, ""]) -> Float[Array, "2"]:
        return jnp.stack([x.real, x.imag])
