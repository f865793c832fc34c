"""A leaf of a tree that is made of the other leaves."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Shape

from ....errors import ModelError


class Derived(eqx.Module):
    """A leaf made of the others.

    Attributes:
        name: Its path.
        places: Which leaves of the tree are this array.
        shape: Shape of its value.
        function: Makes the value of the tree.
    """

    name: str = eqx.field(static=True)
    places: tuple[int, ...] = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    function: Callable[[Any], Any] = eqx.field(static=True)

    def value(self, tree: Any) -> Array:
        """Make the value.

        Raises:
            ModelError: It has another shape than the leaf.
        """
        value = jnp.asarray(self.function(tree))
        if value.shape != self.shape:
            raise ModelError(
                self.name,
                f"its function returns a value of shape {value.shape}",
                f"Return one of the leaf's shape {self.shape}.",
            )
        return value
