"""Logarithms of vectors that sum to one, with the isometric log-ratio as map."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, Shape, VectorBijector, VectorConstraint, bijection
from ..elementary import from_sum_to_zero, sum_tolerance


class LogSimplex(VectorConstraint):
    """Vectors of `size` numbers whose exponentials sum to one.

    The base measure is Lebesgue in the log-ratios x_i - x_k to the last number, as for
    ExpConcrete variables. Source: "The Concrete Distribution", ICLR 2017, appendix.
    """

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        total = jax.nn.logsumexp(value, axis=-1)
        return (jnp.abs(total) <= sum_tolerance(value)) & jnp.all(jnp.isfinite(value), -1)

    def coordinates(self, value: Float[Array, "k"]) -> Float[Array, "n"]:
        return value[:-1] - value[-1]


class LogSoftmaxILR(VectorBijector):
    """x = log softmax(z), with z = `sum_to_zero(y)`: the isometric log-ratio.

    Computed from z plus s / (k + sqrt(k)), with s the sum of y, which gives the same x: the numbers
    y and -s / (1 + sqrt(k)). No product is subtracted from anything, so x has the same digits
    whether or not XLA contracts products and sums, and a log that tends to 0 never exceeds it.

    The log-determinant is log(k) / 2 for k numbers, for every y.
    """

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)

    def image(self, y: Float[Array, "n"]) -> Image:
        count = y.shape[0] + 1
        last = -(y / (1 + math.sqrt(count))).sum(keepdims=True)
        log_det = jnp.full((), 0.5 * math.log(count), y.dtype)
        return bijection(jax.nn.log_softmax(jnp.concatenate([y, last])), log_det)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # from_sum_to_zero ignores a common shift.
        return from_sum_to_zero(x)
