"""Vectors of nonnegative numbers that sum to one, with three maps onto them."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, Shape, VectorBijector, VectorConstraint, bijection
from ..elementary import (
    from_sum_to_zero,
    normalize_exponentials,
    softplus,
    sum_to_zero,
    sum_tolerance,
)


class Simplex(VectorConstraint):
    """Nonnegative vectors of `size` numbers that sum to one.

    The base measure is Lebesgue in the first size - 1 numbers.
    """

    def contains(self, value: Float[Array, "... k"]) -> Bool[Array, "..."]:
        return jnp.all(value >= 0, -1) & (jnp.abs(value.sum(-1) - 1) <= sum_tolerance(value))

    def coordinates(self, value: Float[Array, "k"]) -> Float[Array, "n"]:
        return value[:-1]


class OntoSimplex(VectorBijector):
    """A map onto a simplex, from one number fewer."""

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] - 1,)


class SoftmaxILR(OntoSimplex):
    """x = softmax(z), with z = `sum_to_zero(y)`: the isometric log-ratio.

    The log-determinant is sum(log x) + log(k) / 2 for k numbers; the by-product `log` is log x.
    Source: Egozcue et al. (2003), isometric log-ratio; Stan reference manual 2.37, "Simplex".
    """

    def image(self, y: Float[Array, "n"]) -> Image:
        value, log_value, log_total = normalize_exponentials(sum_to_zero(y))
        count = y.shape[0] + 1
        # log x sums to -count * log_total, since z sums to zero.
        log_det = 0.5 * math.log(count) - count * log_total
        return bijection(value, log_det, log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # from_sum_to_zero ignores a common shift, so log x need not be centered.
        return from_sum_to_zero(jnp.log(x))


class SoftmaxALR(OntoSimplex):
    """x = softmax(y_1, ..., y_n, 0), the additive log-ratio.

    The log-determinant is sum(log x); the by-product `log` is log x. The map is not symmetric:
    the last number is the reference. Source: Aitchison (1982).
    """

    def image(self, y: Float[Array, "n"]) -> Image:
        z = jnp.concatenate([y, jnp.zeros(1, y.dtype)])
        value, log_value, _ = normalize_exponentials(z)
        return bijection(value, log_value.sum(), log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        log_value = jnp.log(x)
        return log_value[:-1] - log_value[-1]


class StickBreaking(OntoSimplex):
    """x_k is a share 1 / (1 + exp(-u_k)) of the remainder, with u_k = y_k - log(n - k + 1).

    At y = 0 all n + 1 numbers are equal. The log-determinant is the sum over k of
    log share_k + log(1 - share_k) + log remainder_k; the by-product `log` is log x.
    Source: Stan reference manual before 2.37, "Unit simplex".
    """

    def image(self, y: Float[Array, "n"]) -> Image:
        u = y - _log_remaining(y)
        log_share, log_rest = -softplus(-u), -softplus(u)
        log_remainder = jnp.cumsum(log_rest) - log_rest
        last = log_rest.sum(keepdims=True)
        log_value = jnp.concatenate([log_share + log_remainder, last])
        log_det = (log_share + log_rest + log_remainder).sum()
        return bijection(jnp.exp(log_value), log_det, log=log_value)

    def inverse(self, x: Float[Array, "k"]) -> Float[Array, "n"]:
        # The remainder after each share, summed from the end so that no digits cancel.
        remainder = jnp.cumsum(x[::-1])[::-1][1:]
        y = jnp.log(x[:-1]) - jnp.log(remainder)
        return y + _log_remaining(y)


def _log_remaining(y: Float[Array, "n"]) -> Float[Array, "n"]:
    return jnp.log(jnp.arange(y.shape[0], 0, -1, dtype=y.dtype))
