"""Helpers for tests of learned maps."""

import jax
import jax.numpy as jnp


def perturb(bijector, seed=1, scale=0.2):
    """Add normal noise to every parameter, so that the map is not the identity."""
    leaves, structure = jax.tree.flatten(bijector)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noise = [scale * jax.random.normal(k, jnp.shape(a)) for k, a in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, [a + b for a, b in zip(leaves, noise, strict=True)])
