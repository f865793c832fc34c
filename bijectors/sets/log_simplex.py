"""Logarithms of vectors that sum to one, mapped by the isometric log-ratio."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Image, Shape, VectorConstraint, bijection
from ..elementary import from_sum_to_zero, sum_to_zero


class LogSimplex(VectorConstraint):
    """Vectors of `size` numbers whose exponentials sum to one.

    The base measure is Lebesgue measure of the log-ratios x_i - x_k with the last number, as
    for ExpConcrete variables. Source: "The Concrete Distribution", ICLR 2017, appendix.
    """

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        total = jax.nn.logsumexp(value, axis=-1)
        return (jnp.abs(total) <= slack) & jnp.all(jnp.isfinite(value), -1)

    def coordinates(self, value: Float[Array, "k"]) -> Float[Array, "n"]:
        return value[:-1] - value[-1]


class LogSoftmaxILR(Bijector):
    """x = log softmax(z), z the isometric sum-to-zero image of y.

    The log-determinant is log(k) / 2 for k numbers, everywhere.
    """

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)

    def image(self, y: Float[Array, "n"]) -> Image:
        log_det = jnp.full((), 0.5 * math.log(y.shape[0] + 1), y.dtype)
        return bijection(jax.nn.log_softmax(sum_to_zero(y)), log_det)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # from_sum_to_zero ignores a common shift.
        return from_sum_to_zero(x)
