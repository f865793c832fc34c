"""Many maps of one kind, one after another, in a program that holds the map once."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Bijector, Image, Shape, highest_rank
from ..errors import BijectorError


class Stack(Bijector):
    """x = f_k(... f_1(y)), maps that differ in their parameters alone and keep the shape.

    They are applied in a `scan`, so compilation takes no longer for many maps than for a
    few; `Chain` puts together maps that differ. Log-determinants and auxiliary densities add
    up; there are no by-products.

    Attributes:
        layers: The maps in one tree, whose leaves have a leading axis, a row for each.
        count: Number of maps.
    """

    layers: Bijector
    count: int = eqx.field(static=True)

    def __init__(self, layers: Sequence[Bijector]) -> None:
        """Stack the parameters of `layers`, of which the first acts first on y.

        Raises:
            BijectorError: There is no map, or they differ in more than their parameters.
        """
        if len({_form(layer) for layer in layers}) != 1:
            raise BijectorError(
                "Stack",
                f"it is given {len(layers)} maps of {len(set(map(_form, layers)))} forms",
                "Give one or more maps of one kind, with parameters of the same shapes, or "
                "compose them by Chain.",
            )
        self.layers = jax.tree.map(lambda *leaves: jnp.stack(leaves), *layers)
        self.count = len(layers)

    @property
    def event_ndims(self) -> int:
        return self.layers.event_ndims

    @property
    def is_redundant(self) -> bool:
        return self.layers.is_redundant

    @property
    def parameter_ndims(self) -> int:
        return highest_rank(self)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        shape = self.layers.unconstrained_shape(event_shape)
        if shape != event_shape:
            found = f"each of its maps takes the shape {shape} to {event_shape}"
            raise BijectorError("Stack", found, "Stack maps that keep the shape.")
        return shape

    def image(self, y: Float[Array, "..."]) -> Image:
        def apply(so_far: Image, layer: Bijector) -> tuple[Image, None]:
            image = layer.image(so_far.value)
            log_det = so_far.log_det + image.log_det
            return Image(image.value, log_det, so_far.auxiliary + image.auxiliary, {}), None

        return jax.lax.scan(apply, Image.of(y), self.layers, self.count)[0]

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        def undo(x: Array, layer: Bijector) -> tuple[Array, None]:
            return layer.inverse(x), None

        return jax.lax.scan(undo, x, self.layers, self.count, reverse=True)[0]

    def inverse_and_log_det(self, x: Float[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        def undo(so_far: tuple[Array, Array], layer: Bijector) -> tuple[tuple[Array, Array], None]:
            y, log_det = layer.inverse_and_log_det(so_far[0])
            return (y, so_far[1] + log_det), None

        start = (x, jnp.zeros((), x.dtype))
        return jax.lax.scan(undo, start, self.layers, self.count, reverse=True)[0]


def _form(layer: Bijector) -> tuple:
    """What must be alike in all layers: the tree with its settings, and the leaves' shapes."""
    leaves, structure = jax.tree.flatten(layer)
    return structure, tuple(jnp.shape(leaf) for leaf in leaves)
