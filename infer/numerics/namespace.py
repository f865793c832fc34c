"""Write an algorithm once, for NumPy on the host and for JAX in a compiled loop."""

from collections.abc import Callable
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

# Arrays and numbers of NumPy, and flags, which Python computes from them.
HOST = (np.ndarray, np.generic, bool)


def namespace_of(array: Any) -> Any:
    """Return `numpy` for a number or an array of it, else `jax.numpy`."""
    return np if isinstance(array, HOST) else jnp


def choose(first: Any, one: Any, other: Any) -> Any:
    """Select between two pytrees of arrays: on the host as a whole, else leaf by leaf."""
    if isinstance(first, HOST):
        return one if first else other
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)


def branch(first: Any, one: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Select between what two functions return; on the host only one of them is called."""
    if isinstance(first, HOST):
        return one() if first else other()
    return choose(first, one(), other())


def only_if(first: Any, compute: Callable[[], Any], unused: Any) -> Any:
    """Compute what is used only if a flag holds; otherwise the host returns `unused`."""
    if isinstance(first, HOST) and not first:
        return unused
    return compute()
