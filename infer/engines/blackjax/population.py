"""What the chains of a population share: one key, and one value of what each has a copy of."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..base import CHAINS


def shared_key(key: Array) -> Array:
    """Return the key of the first chain, for a choice that all chains make together."""
    return jax.random.wrap_key_data(
        jax.lax.all_gather(jax.random.key_data(key), CHAINS)[0], impl=jax.random.key_impl(key)
    )


def merge_copies(tree: Any) -> Any:
    """Merge leaves that are equal in all chains, so that what follows is computed once."""
    return jax.tree.map(_merge, tree)


def _merge(leaf: Array) -> Array:
    leaf = jnp.asarray(leaf)
    if leaf.dtype == bool:
        return jax.lax.pmax(leaf.astype(jnp.int32), CHAINS) > 0
    return jax.lax.pmax(leaf, CHAINS)


def gather(tree: Any) -> Any:
    """Gather the leaves of all chains along a new leading axis."""
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, CHAINS), tree)
