"""The inside of a ball around zero, in the Euclidean or the absolute-value norm."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, VectorConstraint, Vectorwise, bijection
from ..elementary import log_sech_squared, log_tanh_over


class Ball(VectorConstraint):
    """Vectors of `size` numbers whose norm is below one.

    Attributes:
        order: 2 for the Euclidean norm, 1 for the sum of absolute values.
    """

    order: int = eqx.field(static=True, default=2)

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        # Less what a sum of n rounded terms may have lost, so that no member lies on the rim.
        rim = 1 - value.shape[-1] * jnp.finfo(value.dtype).eps
        return jnp.linalg.norm(value, self.order, axis=-1) < rim


class RadialTanh(Vectorwise):
    """x = y tanh(s) / r, with r the norm of y and s = r / n^(1 / order) its typical size.

    In n dimensions the log-determinant is log sech^2(s) - log(n) / order
    + (n - 1) log(tanh(s) / r), for any norm, since a norm is homogeneous of degree one. Its
    tails are exponential, and their scale is the same in any number of dimensions.
    """

    order: int = eqx.field(static=True, default=2)

    def image(self, y: Float[Array, "n"]) -> Image:
        unit = self._unit(y)
        s = self._norm(y) / unit
        log_shrink = log_tanh_over(s) - math.log(unit)
        log_det = log_sech_squared(s) - math.log(unit) + (y.shape[0] - 1) * log_shrink
        return bijection(y * jnp.exp(log_shrink), log_det)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        r = self._norm(x)
        stretch = jnp.where(r > 0, jnp.arctanh(r) / jnp.where(r > 0, r, 1.0), 1.0)
        return x * self._unit(x) * stretch

    def _unit(self, y: Array) -> float:
        return y.shape[0] ** (1 / self.order)

    def _norm(self, y: Array) -> Array:
        if self.order == 1:
            return jnp.abs(y).sum()
        # Scaled by the largest entry, so that no square overflows.
        largest = jax.lax.stop_gradient(jnp.max(jnp.abs(y)))
        scaled = y / jnp.where(largest > 0, largest, 1.0)
        square = (scaled**2).sum()
        # The gradient of a square root at zero is not finite: take the root of one there.
        return jnp.where(square > 0, largest * jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
