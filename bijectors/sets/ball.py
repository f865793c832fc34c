"""The open unit ball in the Euclidean norm or in the sum of absolute values."""

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
        # Less the rounding error of a sum of n terms, so that every member is inside.
        limit = 1 - value.shape[-1] * jnp.finfo(value.dtype).eps
        return jnp.linalg.norm(value, self.order, axis=-1) < limit


class RadialTanh(Vectorwise):
    """x = y tanh(s) / r, with r the norm of y and s = r / n^(1 / order).

    In n dimensions the log-determinant is log sech^2(s) - log(n) / order
    + (n - 1) log(tanh(s) / r), for any norm, since a norm is homogeneous of degree one. The
    tails are exponential. Dividing r by n^(1 / order), its typical size, makes their scale the
    same in any number of dimensions.
    """

    order: int = eqx.field(static=True, default=2)

    @classmethod
    def of(cls, constraint: Ball) -> "RadialTanh":
        """Make the map onto one set."""
        return cls(constraint.order)

    def image(self, y: Float[Array, "n"]) -> Image:
        typical = self._typical_norm(y)
        s = self._norm(y) / typical
        log_shrink = log_tanh_over(s) - math.log(typical)
        log_det = log_sech_squared(s) - math.log(typical) + (y.shape[0] - 1) * log_shrink
        return bijection(y * jnp.exp(log_shrink), log_det)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        r = self._norm(x)
        stretch = jnp.where(r > 0, jnp.arctanh(r) / jnp.where(r > 0, r, 1.0), 1.0)
        return x * self._typical_norm(x) * stretch

    def _typical_norm(self, y: Array) -> float:
        return y.shape[0] ** (1 / self.order)

    def _norm(self, y: Array) -> Array:
        if self.order == 1:
            return jnp.abs(y).sum()
        # Scaled by the largest entry, so that no square overflows.
        largest = jax.lax.stop_gradient(jnp.max(jnp.abs(y)))
        scaled = y / jnp.where(largest > 0, largest, 1.0)
        square = (scaled**2).sum()
        # The gradient of a square root at zero is not finite: the root of one is taken instead.
        return jnp.where(square > 0, largest * jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
