"""Add numbers that are known by their logarithms, of which all may be zero."""

import jax
import jax.numpy as jnp
from jaxtyping import Array


def log_sum_exp(logs: Array, axis: int) -> Array:
    """Compute the logarithm of a sum along an axis from the logarithms of its terms.

    The gradient is zero if every term is zero, where that of `jax.nn.logsumexp` is NaN: a state
    that cannot be reached contributes nothing to other states.
    """
    largest = jax.lax.stop_gradient(logs.max(axis, keepdims=True))
    largest = jnp.where(jnp.isfinite(largest), largest, 0)
    total = jnp.exp(logs - largest).sum(axis)
    log_total = jnp.log(jnp.where(total == 0, 1, total)) + largest.squeeze(axis)
    return jnp.where(total == 0, -jnp.inf, log_total)
