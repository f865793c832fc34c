"""Formulae that several maps share, each stable over the whole real line."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def softplus(y: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(1 + exp(y)) without overflow."""
    return jax.nn.softplus(y)


def inverse_softplus(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute log(exp(x) - 1) for x > 0."""
    # x + log(1 - exp(-x)) keeps its digits where log(exp(x) - 1) overflows.
    return x + jnp.log(-jnp.expm1(-x))


def sum_to_zero(y: Float[Array, "n"]) -> Float[Array, "k"]:
    """Map n numbers isometrically onto the vectors of n + 1 numbers that sum to zero.

    Source: the Helmert basis as in the Stan reference manual, "Sum-to-zero vector":
    w_n = y_n / sqrt(n (n + 1)), z_n = sum_{i >= n} w_i - (n - 1) w_{n-1}.
    """
    n = jnp.arange(1, y.shape[0] + 1, dtype=y.dtype)
    w = y / jnp.sqrt(n * (n + 1))
    zero = jnp.zeros((1,), y.dtype)
    tails = jnp.cumsum(w[::-1])[::-1]
    return jnp.concatenate([tails, zero]) - jnp.concatenate([zero, n * w])


def from_sum_to_zero(z: Float[Array, "k"]) -> Float[Array, "n"]:
    """Invert `sum_to_zero`: y_n = (sum_{i <= n} z_i - n z_{n+1}) / sqrt(n (n + 1))."""
    n = jnp.arange(1, z.shape[0], dtype=z.dtype)
    return (jnp.cumsum(z)[:-1] - n * z[1:]) / jnp.sqrt(n * (n + 1))
