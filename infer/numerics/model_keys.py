"""Keys of several models: one for each is given, or derived from a single one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import RunError
from ..traced import refuse_traced
from .keys import STARTS, read_key_data
from .threefry import fold_in


def read_keys(given: Any, models: int) -> np.ndarray:
    """Convert a seed or a key to key data, shape (2,), or one for each model, shape (models, 2).

    A single one is that of the first model; those of others are derived from it.

    Raises:
        RunError: They are not keys, or are traced, or their number is not that of the models.
    """
    refuse_traced(RunError, "key", given)
    if not _are_several(given):
        return _derive_each(read_key_data(given), models)
    if models == 1 != len(given):
        # Says what a key is.
        return read_key_data(given)
    if len(given) != models:
        found = f"{len(given)} keys are given for {models} models"
        raise RunError("key", found, "Give one key for each model, or one for all.")
    keys = np.stack([read_key_data(own) for own in given])
    return keys[0] if models == 1 else keys


def _are_several(given: Any) -> bool:
    """Return whether these are keys: a list, or an array of keys, of key data or of seeds."""
    if isinstance(given, list | tuple | range):
        return True
    dtype, shape = getattr(given, "dtype", np.dtype(float)), np.shape(given)
    if dtype == np.uint32:
        return len(shape) == 2
    is_key = jnp.issubdtype(dtype, jax.dtypes.prng_key)
    return len(shape) == 1 and (is_key or jnp.issubdtype(dtype, np.signedinteger))


def _derive_each(root: np.ndarray, models: int) -> np.ndarray:
    if models == 1:
        return root
    keys = fold_in(root, STARTS + np.arange(models))
    keys[0] = root
    return keys
