"""What the tests of learned maps share."""

import jax
import jax.numpy as jnp


def stirred(bijector, seed=1, scale=0.2):
    """The same map away from the identity: normal noise on every parameter."""
    leaves, structure = jax.tree.flatten(bijector)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    noise = [scale * jax.random.normal(k, jnp.shape(a)) for k, a in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, [a + b for a, b in zip(leaves, noise, strict=True)])
