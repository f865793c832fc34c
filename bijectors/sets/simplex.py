"""Vectors of positive numbers that sum to one, mapped by the isometric log-ratio softmax."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Image, Shape, VectorConstraint, bijection
from ..elementary import from_sum_to_zero, normalize_exponentials, softplus, sum_to_zero


class Simplex(VectorConstraint):
    """Nonnegative vectors of `size` numbers that sum to one.

    Its base measure is Lebesgue measure of the first size - 1 numbers.
    """

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        # A sum of k rounded numbers errs by about sqrt(k) units in the last place.
        slack = 8 * math.sqrt(value.shape[-1]) * jnp.finfo(value.dtype).eps
        return jnp.all(value >= 0, -1) & (jnp.abs(value.sum(-1) - 1) <= slack)

    def coordinates(self, value: Float[Array, "k"]) -> Float[Array, "n"]:
        return value[:-1]


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
        value, log_value, log_total = normalize_exponentials(sum_to_zero(y))
        count = y.shape[0] + 1
        # The sum of log x, since the numbers under the softmax sum to zero.
        log_det = 0.5 * math.log(count) - count * log_total
        return bijection(value, log_det, log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # from_sum_to_zero ignores a common shift, so log x need not be centered.
        return from_sum_to_zero(jnp.log(x))


class SoftmaxALR(Bijector):
    """x = softmax(y_1, ..., y_n, 0), the additive log-ratio.

    The log-determinant is sum(log x); the by-product `log` is log x. The last number is
    treated unlike the others. Source: Aitchison (1982).
    """

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)

    def image(self, y: Float[Array, "n"]) -> Image:
        z = jnp.concatenate([y, jnp.zeros(1, y.dtype)])
        value, log_value, _ = normalize_exponentials(z)
        return bijection(value, log_value.sum(), log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        log_value = jnp.log(x)
        return log_value[:-1] - log_value[-1]


class StickBreaking(Bijector):
    """x_k is a share 1 / (1 + exp(-u_k)) of what is left, u_k = y_k - log(n - k + 1).

    At y = 0 all n + 1 numbers are equal. The log-determinant is the sum over k of
    log share_k + log(1 - share_k) + log left_k; the by-product `log` is log x.
    Source: Stan reference manual before 2.37, "Unit simplex".
    """

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)

    def image(self, y: Float[Array, "n"]) -> Image:
        u = y - _log_remaining(y)
        log_share, log_rest = -softplus(-u), -softplus(u)
        log_left = jnp.cumsum(log_rest) - log_rest
        last = log_rest.sum(keepdims=True)
        log_value = jnp.concatenate([log_share + log_left, last])
        log_det = (log_share + log_rest + log_left).sum()
        return bijection(jnp.exp(log_value), log_det, log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # What is left after each share, summed from the end so that no digit cancels.
        left = jnp.cumsum(x[::-1])[::-1][1:]
        y = jnp.log(x[:-1]) - jnp.log(left)
        return y + _log_remaining(y)


def _log_remaining(y: Float[Array, "n"]) -> Float[Array, "n"]:
    return jnp.log(jnp.arange(y.shape[0], 0, -1, dtype=y.dtype))
