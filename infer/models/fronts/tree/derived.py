"""A leaf of a tree that is computed from the other leaves."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Shape

from ....errors import ModelError


class DerivedLeaf(eqx.Module):
    """A leaf that is computed from the others.

    Attributes:
        name: Its path.
        indices: All leaves of the tree that are this array.
        shape: Shape of its value.
        function: From the tree to the value.
    """

    name: str = eqx.field(static=True)
    indices: tuple[int, ...] = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    function: Callable[[Any], Any] = eqx.field(static=True)

    def value(self, tree: Any) -> Array:
        """Compute the value.

        Raises:
            ModelError: Its shape differs from that of the leaf.
        """
        value = jnp.asarray(self.function(tree))
        if value.shape != self.shape:
            raise ModelError(
                self.name,
                f"its function returns a value of shape {value.shape}",
                f"Return a value of shape {self.shape}, as the leaf has.",
            )
        return value
