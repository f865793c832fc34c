"""Keys of several models: one for each is given, or derived from a single one."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import RunError
from .keys import STARTS, read_key_data
from .threefry import fold_in


def read_keys(given: Any, models: int) -> np.ndarray:
    """Convert a seed or a key to key data, shape (2,), or one for each model, shape (models, 2).

    A single one is that of the first model; those of others are derived from it.

    Raises:
        RunError: They are not keys, or their number is not that of the models.
    """
    several = isinstance(given, list | tuple | range)
    is_array = jnp.issubdtype(getattr(given, "dtype", float), jax.dtypes.prng_key)
    if not several and not (is_array and np.ndim(given) == 1):
        return _derive_each(read_key_data(given), models)
    if models == 1 != len(given):
        # Says what a key is.
        return read_key_data(given)
    if len(given) != models:
        found = f"{len(given)} keys are given for {models} models"
        raise RunError("key", found, "Give one key for each model, or one for all.")
    keys = np.stack([read_key_data(own) for own in given])
    return keys[0] if models == 1 else keys


def _derive_each(root: np.ndarray, models: int) -> np.ndarray:
    if models == 1:
        return root
    keys = fold_in(root, STARTS + np.arange(models))
    keys[0] = root
    return keys
