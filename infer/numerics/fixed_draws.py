"""Fixed standard normal draws, whose low moments are exact, for deterministic objectives."""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float


def draw_balanced(key: Array, like: Float[Array, "draws size"]) -> Float[Array, "draws size"]:
    """Draw pairs of plus and minus the same noise, whose second moments are exact.

    So means are zero. Each coordinate has unit mean square; if there are at least as many pairs as
    coordinates, the coordinates are uncorrelated too, so that expectations of quadratic functions
    are exact.

    Args:
        key: A JAX key.
        like: An array of the shape and type of the draws, whose number is even.
    """
    pairs, size = like.shape[0] // 2, like.shape[1]
    noise = jax.random.normal(key, (pairs, size), like.dtype)
    if size <= pairs:
        factor = jnp.linalg.cholesky(noise.T @ noise / pairs)
        noise = solve_triangular(factor, noise.T, lower=True).T
    else:
        noise = noise / jnp.sqrt((noise**2).mean(0))
    return jnp.concatenate([noise, -noise])
