"""Concatenated vectors, in which each piece has its own set and map."""

import math
from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Inexact

from ..base import Bijector, Constraint, Image, Shape, VectorBijector
from ..errors import BijectorError


class Concatenation(Constraint):
    """Vectors whose consecutive pieces each belong to their own set.

    Attributes:
        parts: Sets of numbers or of vectors.
        sizes: Length of each piece.
    """

    parts: tuple[Constraint, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self) -> None:
        ranks = [part.event_ndims for part in self.parts]
        if len(self.sizes) != len(ranks) or any(rank > 1 for rank in ranks):
            raise BijectorError(
                "Concatenation",
                f"it has {len(ranks)} sets of ranks {ranks} and {len(self.sizes)} sizes",
                "Give one size for each set, and sets of numbers or vectors only.",
            )

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        """Shape of a value if only this set is declared, without a prior."""
        return self.shape or (sum(self.sizes),)

    def contains(self, value: Inexact[Array, "... n"]) -> Bool[Array, "..."]:
        inside = [(part, part.contains(piece)) for part, piece in self._pieces(value)]
        members = [found if part.event_ndims else found.all(-1) for part, found in inside]
        return jnp.all(jnp.stack(members), 0)

    def coordinates(self, value: Float[Array, "n"]) -> Float[Array, "m"]:
        return jnp.concatenate([part.coordinates(piece) for part, piece in self._pieces(value)])

    def _pieces(self, value: Array) -> Iterator[tuple[Constraint, Array]]:
        return zip(self.parts, _split(value, self.sizes), strict=True)


class Blocks(VectorBijector):
    """One map for each of several consecutive pieces; their log densities add up.

    Attributes:
        maps: The map onto each piece, a vector.
        sizes: Length of each constrained piece.
    """

    maps: tuple[Bijector, ...]
    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def is_redundant(self) -> bool:
        return any(each.is_redundant for each in self.maps)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        if event_shape != (sum(self.sizes),):
            raise BijectorError(
                "Concatenation",
                f"the value has shape {event_shape}, but its pieces have {self.sizes} numbers",
                f"Give it the shape ({sum(self.sizes)},).",
            )
        return (sum(math.prod(shape) for shape in self._shapes()),)

    def image(self, y: Float[Array, "n"]) -> Image:
        shapes = self._shapes()
        pieces = _split(y, tuple(math.prod(shape) for shape in shapes))
        images = [
            each.image(piece.reshape(shape))
            for each, piece, shape in zip(self.maps, pieces, shapes, strict=True)
        ]
        values, log_dets, auxiliaries, _ = zip(*images, strict=True)
        zero = jnp.zeros((), y.dtype)
        return Image(jnp.concatenate(values), sum(log_dets, zero), sum(auxiliaries, zero), {})

    def inverse(self, x: Inexact[Array, "k"]) -> Float[Array, "n"]:
        pieces = zip(self.maps, _split(x, self.sizes), strict=True)
        return jnp.concatenate([each.inverse(piece).reshape(-1) for each, piece in pieces])

    def _shapes(self) -> list[Shape]:
        pairs = zip(self.maps, self.sizes, strict=True)
        return [each.unconstrained_shape((size,)) for each, size in pairs]


def _split(value: Array, sizes: tuple[int, ...]) -> list[Array]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
    return jnp.split(value, ends, axis=-1)
