"""The inside of a ball around zero, in the Euclidean or the absolute-value norm."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Image, VectorConstraint, Vectorwise, bijection
from .elementary import log_sech_squared, log_tanh_over


class Ball(VectorConstraint):
    """Vectors of `size` numbers whose norm is at most one.

    Attributes:
        order: 2 for the Euclidean norm, 1 for the sum of absolute values.
    """

    order: int = eqx.field(static=True, default=2)

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        norm = jnp.linalg.norm(value, self.order, axis=-1)
        # The rim belongs to the set: the map reaches it by rounding.
        return norm <= 1 + 4 * value.shape[-1] * jnp.finfo(value.dtype).eps


class RadialTanh(Vectorwise):
    """x = y tanh(r) / r with r the norm of y; r is mapped to tanh(r) < 1.

    In n dimensions the log-determinant is log sech^2(r) + (n - 1) log(tanh(r) / r), for any
    norm, since a norm is homogeneous of degree one. Its tails are exponential.
    """

    order: int = eqx.field(static=True, default=2)

    def image(self, y: Float[Array, "n"]) -> Image:
        r = self._norm(y)
        log_shrink = log_tanh_over(r)
        log_det = log_sech_squared(r) + (y.shape[0] - 1) * log_shrink
        return bijection(y * jnp.exp(log_shrink), log_det)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        r = self._norm(x)
        return x * jnp.where(r > 0, jnp.arctanh(r) / jnp.where(r > 0, r, 1.0), 1.0)

    def _norm(self, y: Array) -> Array:
        if self.order == 1:
            return jnp.abs(y).sum()
        square = (y**2).sum()
        # The gradient of a square root at zero is not finite: take the root of one there.
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
