"""A coupling: one half of a vector determines how the other half is mapped."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..base import Bijector, Image, Vectorwise, bijection
from ..errors import BijectorError
from .conditioner import (
    Conditioner,
    count_parameters,
    forward_each,
    inverse_each,
    make_zero_network,
    replicate,
)


class Coupling(Vectorwise):
    """x = (a, T(b; a)) for y = (a, b): the first half is unchanged, the second mapped by T.

    T maps each number of b by `transformer`, to whose parameters a network adds its outputs at
    a. Both directions cost one pass of the network. The log-determinant is the sum of those of
    T. A new coupling applies its transformer alone, since the outputs of the network are
    initially zero: with BoundedAffine() and RationalQuadraticSpline(), it is the identity. Every
    leaf is an array to learn.
    Source: Dinh, Sohl-Dickstein & Bengio (2017), Density estimation using Real NVP,
    equations 4 to 8.

    Args:
        transformer: T, a map of single numbers.
        key: Draws the network's weights.
        width: Number of units in each hidden layer of the network.
        depth: Number of its hidden layers.
        activation: Applied to each unit of a hidden layer.

    Attributes:
        conditioner: The maps of the numbers of b, computed from a.
        size: Length of the vectors.
        flipped: Whether a is the second half and b the first. If the size is odd, the first half
            is the shorter one.
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
        """Make a coupling that initially applies its transformer alone.

        Args:
            size: Length of the vectors, at least 2.
            transformer: Map of numbers whose leaves may be any real numbers; the network adds
                to them.
            key: Random key of the network's hidden layers.
            width: Length of each hidden layer.
            depth: Number of hidden layers.
            activation: Applied to every hidden unit. If it is smooth and bounded, as tanh is,
                the map is smooth and the network stays finite for large inputs.
            flipped: Whether the second half is unchanged, instead of the first.

        Raises:
            BijectorError: The size is below two, the network has no width, or the transformer is
                not a map of numbers with parameters.
        """
        if size < 2:
            raise BijectorError(
                "Coupling",
                f"the size is {size}, and a coupling maps one half of a vector by the other",
                "Give a size of at least 2; for single numbers, learn the transformer itself.",
            )
        self.size, self.flipped = size, flipped
        fixed = size - size // 2 if flipped else size // 2
        sizes = (fixed, (size - fixed) * count_parameters(transformer))
        self.conditioner = Conditioner(
            replicate(transformer, size - fixed, "Coupling"),
            make_zero_network(sizes, width, depth, activation, key, "Coupling"),
        )

    def image(self, y: Float[Array, "n"]) -> Image:
        fixed, moving = self._split(y)
        value, log_det = forward_each(self.conditioner.maps(fixed), moving)
        return bijection(self._join(fixed, value), log_det)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        fixed, moving = self._split(x)
        return self._join(fixed, inverse_each(self.conditioner.maps(fixed), moving))

    def inverse_and_log_det(self, x: Float[Array, "n"]) -> tuple[Array, Float[Array, ""]]:
        fixed, moving = self._split(x)
        maps = self.conditioner.maps(fixed)
        y = inverse_each(maps, moving)
        return self._join(fixed, y), -forward_each(maps, y)[1]

    def _split(self, vector: Array) -> tuple[Array, Array]:
        first, second = vector[: self.size // 2], vector[self.size // 2 :]
        return (second, first) if self.flipped else (first, second)

    def _join(self, fixed: Array, moving: Array) -> Array:
        return jnp.concatenate((moving, fixed) if self.flipped else (fixed, moving))
