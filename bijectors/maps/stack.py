"""Many maps of the same form, composed in a `scan`, so that the program contains one of them."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Bijector, Image, Shape, max_rank
from ..errors import BijectorError


class Stack(Bijector):
    """x = f_k(... f_1(y)), where the maps differ only in their parameters and keep the shape.

    They are applied in a `scan`, so many maps compile as fast as a few; `Chain` composes maps
    of different forms. Log-determinants and auxiliary densities add up; there are no
    by-products.

    Attributes:
        layers: The maps as one tree, whose leaves have a leading axis with a row for each map.
        count: Number of maps.
    """

    layers: Bijector
    count: int = eqx.field(static=True)

    def __init__(self, layers: Sequence[Bijector]) -> None:
        """Stack the parameters of `layers`; the first layer is applied first.

        Raises:
            BijectorError: There is no layer, or they differ in more than their parameters.
        """
        if len({_form(layer) for layer in layers}) != 1:
            raise BijectorError(
                "Stack",
                f"it has {len(layers)} maps of {len(set(map(_form, layers)))} forms",
                "Give at least one map, all of the same form with parameters of the same shapes, "
                "or compose them with Chain.",
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
        return max_rank(self)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        shape = self.layers.unconstrained_shape(event_shape)
        if shape != event_shape:
            found = f"each of its maps changes the shape from {shape} to {event_shape}"
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
    """Return what all layers must share: tree structure with settings, and shapes of leaves."""
    leaves, structure = jax.tree.flatten(layer)
    return structure, tuple(jnp.shape(leaf) for leaf in leaves)
