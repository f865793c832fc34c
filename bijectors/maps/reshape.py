"""The same numbers in the same order, as an array of another shape."""

import math

import equinox as eqx
from jaxtyping import Array, Float

from ..base import Bijector, Image, Shape
from ..errors import BijectorError


class Reshape(Bijector):
    """x = y in another shape, in row-major order, with log-determinant 0.

    Attributes:
        unconstrained: Shape of y.
        constrained: Shape of x.
    """

    unconstrained: Shape = eqx.field(static=True)
    constrained: Shape = eqx.field(static=True)

    def __check_init__(self) -> None:
        if math.prod(self.unconstrained) != math.prod(self.constrained):
            raise BijectorError(
                "Reshape",
                f"shapes {self.unconstrained} and {self.constrained} differ in size",
                "Give two shapes of the same size.",
            )

    @property
    def event_ndims(self) -> int:
        return len(self.constrained)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return self.unconstrained

    def image(self, y: Float[Array, "..."]) -> Image:
        return Image.of(y.reshape(self.constrained))

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return x.reshape(self.unconstrained)
