"""Stan's unconstrained vector as a set, with Stan's transforms as its map."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from bijectors.base import Bijector, Image, Shape, VectorBijector, VectorConstraint

from .callbacks import log_density
from .opened import Source

# By-product: log density of the constrained values, from the same call as the log-determinant.
TARGET = "target"


class StanTransforms(VectorBijector):
    """The identity, with the log-determinant of the transforms that Stan makes of its image.

    Attributes:
        source: The program.
        key: Hash of its data, shape (2,).
    """

    source: Source = eqx.field(static=True)
    key: Array

    @property
    def parameter_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "size"]) -> Image:
        target, log_det = log_density(self.source, self.key, y)
        return Image(y, log_det, jnp.zeros_like(log_det), {TARGET: target})

    def inverse(self, x: Float[Array, "size"]) -> Float[Array, "size"]:
        return x


class StanSpace(VectorConstraint):
    """All vectors of finite numbers, in the coordinates of a Stan program.

    Attributes:
        source: The program.
        key: Hash of its data, shape (2,).
    """

    source: Source = eqx.field(static=True, kw_only=True)
    key: Array = eqx.field(kw_only=True)

    def contains(self, value: Float[Array, "... size"]) -> Bool[Array, "..."]:
        return jnp.isfinite(value).all(-1)

    def own_bijector(self) -> Bijector:
        return StanTransforms(self.source, self.key)
