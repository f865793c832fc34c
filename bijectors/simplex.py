"""Vectors of positive numbers that sum to one, mapped by the isometric log-ratio softmax."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, bijection, vector_shape
from .elementary import from_sum_to_zero, sum_to_zero


class Simplex(Constraint):
    """Nonnegative vectors of `size` numbers that sum to one.

    Its base measure is Lebesgue measure of the first size - 1 numbers.
    """

    size: int | None = eqx.field(static=True, default=None)

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        return vector_shape(self, self.size)

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        # A sum of k rounded numbers errs by about sqrt(k) units in the last place.
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        return jnp.all(value >= 0, -1) & (jnp.abs(value.sum(-1) - 1) <= slack)


class SoftmaxILR(Bijector):
    """x = softmax(z), z the isometric sum-to-zero image of y.

    The log-determinant is sum(log x) + log(k) / 2 for k numbers; the by-product `log` is log x.
    Source: Egozcue et al. (2003), isometric log-ratio; Stan reference manual 2.37, "Simplex".
    """

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)

    def image(self, y: Float[Array, "n"]) -> Image:
        log_value = jax.nn.log_softmax(sum_to_zero(y))
        log_det = log_value.sum() + 0.5 * math.log(y.shape[0] + 1)
        return bijection(jnp.exp(log_value), log_det, log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # from_sum_to_zero ignores a common shift, so log x need not be centred.
        return from_sum_to_zero(jnp.log(x))
