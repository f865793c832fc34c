"""Helpers for tests of learned maps."""

import jax
import jax.numpy as jnp
import numpy as np


def perturb(bijector, seed=1, scale=0.2):
    """Add normal noise to every parameter, so that the map is not the identity."""
    leaves, structure = jax.tree.flatten(bijector)
    random = np.random.default_rng(seed)
    moved = [np.asarray(a) + scale * random.standard_normal(np.shape(a)) for a in leaves]
    return jax.tree.unflatten(structure, [jnp.asarray(a) for a in moved])
