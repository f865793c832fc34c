"""Make random keys from the user's seed: one for each chain, and one for the starts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..counts import is_whole
from ..errors import RunError
from .threefry import fold_in

# JAX's name for the generator of all draws, whatever the user's configuration says; `threefry.py`
# implements it on the host.
GENERATOR = "threefry2x32"
# Folded into the root key for the starts; no chain has this index. The index of a model is added
# for its own key.
STARTS = 2**31
_MEND = "Give a whole number, or one key, such as jax.random.key(0)."


def wrap_key(key_data: Any) -> Array:
    """Return the key with the given key data, shape (2,), which may be traced."""
    return jax.random.wrap_key_data(jnp.asarray(key_data), impl=GENERATOR)


def make_key(seed: int | np.integer | Array) -> Array:
    """Make a key of our generator from a seed or from a key of any generator."""
    return wrap_key(read_key_data(seed))


def read_key_data(seed: Any) -> np.ndarray:
    """Convert a seed or a key of any generator to key data of our generator, shape (2,).

    Raises:
        RunError: `seed` is neither, or has more than 64 bits.
    """
    if is_whole(seed):
        if not -(2**63) <= int(seed) < 2**64:
            raise RunError("key", f"{seed} has more than 64 bits", _MEND)
        # The high and the low word of the seed, as in jax.random.key.
        return np.array(divmod(int(seed) % 2**64, 2**32), np.uint32)
    dtype, shape = getattr(seed, "dtype", None), getattr(seed, "shape", None)
    if dtype is None or isinstance(seed, Tracer):
        raise RunError("key", f"{seed!r} is not a key", _MEND)
    if jnp.issubdtype(dtype, jax.dtypes.prng_key) and shape == ():
        same = jax.random.key_impl(seed) == GENERATOR
        return np.asarray(
            jax.random.key_data(seed) if same else jax.random.bits(seed, (2,), np.uint32)
        )
    if shape == (2,) and dtype == np.uint32:
        return np.asarray(seed)
    raise RunError("key", f"an array of shape {shape} and type {dtype} is not a key", _MEND)


def derive_chain_keys(
    root: np.ndarray, chains: int, first: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Derive key data for all chains, shape (chains, 2), and for the starts.

    Args:
        root: Key data of the run, from `read_keys`: shape (2,), or (models, 2).
        chains: Number of chains of all models.
        first: Number of the first chain; if each model has a key, of its first chain.

    Returns:
        The keys of the chains, and that of the starts, of the shape of `root`.
    """
    each = chains // len(np.atleast_2d(root))
    keys = fold_in(root[..., None, :], np.append(first + np.arange(each), STARTS))
    return keys[..., :-1, :].reshape(chains, 2), keys[..., -1, :]
