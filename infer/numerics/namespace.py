"""Write an algorithm once, for NumPy on the host and for JAX in a compiled loop."""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

# Numbers and vectors of either library, which share no type that pyright knows.
if TYPE_CHECKING:
    Scalar = Vector = Count = Flag = Any
else:
    Scalar = Float[Array | np.ndarray, ""] | np.floating
    Vector = Float[Array | np.ndarray, "size"]
    Count = Int[Array | np.ndarray, ""] | np.integer
    Flag = Bool[Array | np.ndarray, ""] | np.bool_


def namespace_of(array: Any) -> Any:
    """Return `numpy` for a number or an array of it, else `jax.numpy`."""
    return np if isinstance(array, np.ndarray | np.generic) else jnp


def choose(first: Any, one: Any, other: Any) -> Any:
    """Select between two pytrees of arrays: on the host as a whole, else leaf by leaf."""
    if isinstance(first, np.ndarray | np.generic):
        return one if first else other
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def take_row(array: Any, row: Any, axis: int) -> Any:
    """Return one row along an axis."""
    if isinstance(array, np.ndarray):
        return array[(slice(None),) * axis + (row,)]
    return jax.lax.dynamic_index_in_dim(array, row, axis, keepdims=False)


def put_row(array: Any, value: Any, row: Any, axis: int) -> Any:
    """Replace one row along an axis; on the host in place, so that the array is the caller's own.

    Selecting among all rows would copy them.
    """
    if not isinstance(array, np.ndarray):
        return jax.lax.dynamic_update_index_in_dim(array, value, row, axis)
    array[(slice(None),) * axis + (row,)] = value
    return array
