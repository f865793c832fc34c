"""What chains that move together share: one key, and one of what all of them carry a copy of."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..base import CHAINS


def shared_key(key: Array) -> Array:
    """Take the first chain's key, for a choice that all chains make together."""
    return jax.random.wrap_key_data(
        jax.lax.all_gather(jax.random.key_data(key), CHAINS)[0], impl=jax.random.key_impl(key)
    )


def merge_copies(tree: Any) -> Any:
    """Take what is the same in all chains as one thing, so that it is computed with once."""
    return jax.tree.map(_common, tree)


def _common(leaf: Array) -> Array:
    leaf = jnp.asarray(leaf)
    if leaf.dtype == bool:
        return jax.lax.pmax(leaf.astype(jnp.int32), CHAINS) > 0
    return jax.lax.pmax(leaf, CHAINS)


def gather(tree: Any) -> Any:
    """Gather from all chains, along a new leading axis."""
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, CHAINS), tree)
