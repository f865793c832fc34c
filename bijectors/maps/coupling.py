"""A coupling: one half of a vector says how each number of the other half is mapped."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..base import Bijector, Image, Vectorwise, bijection
from ..errors import BijectorError
from .conditioner import (
    Conditioner,
    forward_each,
    inverse_each,
    parameters,
    silent_network,
    spread,
)


class Coupling(Vectorwise):
    """x = (a, T(b; a)) for y = (a, b): the first half is read, the second mapped by T.

    T maps each number of b on its own, by `transformer` with parameters that a network moves;
    both ways cost one pass of the network. The log-determinant is the sum of those of T. A
    new coupling is its transformer alone, since the network begins at zero: the identity,
    with BoundedAffine() and RationalQuadraticSpline(). Every leaf is an array to learn.
    Source: Dinh, Sohl-Dickstein & Bengio (2017), Density estimation using Real NVP,
    equations 4 to 8.

    Attributes:
        conditioner: The maps of the numbers that are not read.
        size: Length of the vectors.
        flipped: Whether it is the second half that is read, and the first that is mapped. Of
            an odd number, the first half is the shorter one.
    """

    conditioner: Conditioner
    size: int = eqx.field(static=True)
    flipped: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        transformer: Bijector,
        *,
        key: PRNGKeyArray,
        width: int = 64,
        depth: int = 2,
        activation: Callable[[Array], Array] = jnp.tanh,
        flipped: bool = False,
    ) -> None:
        """Make a coupling that is its transformer alone, to be learned from there.

        Args:
            size: Length of the vectors, at least 2.
            transformer: Map of single numbers, whose leaves may be any real numbers; the
                network adds to them.
            key: Random key of the network's hidden layers.
            width: Length of each hidden layer.
            depth: Number of hidden layers.
            activation: Applied to every hidden number. A smooth and bounded one, as tanh is,
                keeps the map smooth, and the network finite far out.
            flipped: Whether the second half is read.

        Raises:
            BijectorError: The vector cannot be halved, the network has no width, or the
                transformer is not a map of single numbers with parameters.
        """
        if size < 2:
            raise BijectorError(
                "Coupling",
                f"vectors of length {size} have no two halves",
                "Give a size of at least 2; learn a map of single numbers as it is.",
            )
        self.size, self.flipped = size, flipped
        read = size - size // 2 if flipped else size // 2
        sizes = (read, (size - read) * parameters(transformer))
        self.conditioner = Conditioner(
            spread(transformer, size - read, "Coupling"),
            silent_network(sizes, width, depth, activation, key, "Coupling"),
        )

    def image(self, y: Float[Array, "n"]) -> Image:
        read, rest = self._split(y)
        value, log_det = forward_each(self.conditioner.maps(read), rest)
        return bijection(self._join(read, value), log_det)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        read, rest = self._split(x)
        return self._join(read, inverse_each(self.conditioner.maps(read), rest))

    def inverse_and_log_det(self, x: Float[Array, "n"]) -> tuple[Array, Float[Array, ""]]:
        read, rest = self._split(x)
        maps = self.conditioner.maps(read)
        y = inverse_each(maps, rest)
        return self._join(read, y), -forward_each(maps, y)[1]

    def _split(self, vector: Array) -> tuple[Array, Array]:
        first, second = vector[: self.size // 2], vector[self.size // 2 :]
        return (second, first) if self.flipped else (first, second)

    def _join(self, read: Array, rest: Array) -> Array:
        return jnp.concatenate((rest, read) if self.flipped else (read, rest))
