"""A masked autoregressive map: the numbers before each one say how it is mapped."""

from collections.abc import Callable
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
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


class MaskedAutoregressive(Vectorwise):
    """x_i = T(y_i; y_1, ..., y_(i-1)), each number mapped as those before it say.

    T is `transformer` with parameters that a masked network moves. `forward` and its
    log-determinant cost one pass of the network, `inverse` one pass for each number, in a
    `scan`, so it has a gradient too. This is the direction for drawing and for variational
    fits (an inverse autoregressive flow). To fit data by maximum likelihood, take
    `Invert(MaskedAutoregressive(...))`, whose `inverse_and_log_det` costs one pass and whose
    `forward` costs many (a masked autoregressive flow). In the sequential direction an error
    of one number is passed on to those after it.

    The log-determinant is the sum of those of T. A new map is its transformer alone, since
    the network begins at zero: the identity, with BoundedAffine() and
    RationalQuadraticSpline(). Every leaf is an array to learn.
    Source: Papamakarios, Pavlakou & Murray (2017), Masked Autoregressive Flow for Density
    Estimation, sections 3.1 and 3.2.

    Attributes:
        conditioner: The maps of all numbers, from those before each.
    """

    conditioner: Conditioner

    def __init__(
        self,
        size: int,
        transformer: Bijector,
        *,
        key: PRNGKeyArray,
        width: int = 64,
        depth: int = 2,
        activation: Callable[[Array], Array] = jnp.tanh,
    ) -> None:
        """Make a map that is its transformer alone, to be learned from there.

        Args:
            size: Length of the vectors.
            transformer: Map of single numbers, whose leaves may be any real numbers; the
                network adds to them.
            key: Random key of the network's hidden layers.
            width: Length of each hidden layer, at least `size - 1` so that all are read.
            depth: Number of hidden layers.
            activation: Applied to every hidden number. A smooth and bounded one, as tanh is,
                keeps the map smooth, and the network finite far out.

        Raises:
            BijectorError: There is no number to map, the network is too narrow, or the
                transformer is not a map of single numbers with parameters.
        """
        name = "MaskedAutoregressive"
        if size < 1:
            raise BijectorError(name, f"vectors of length {size}", "Give a size of at least 1.")
        if depth and width < size - 1:
            found = f"hidden layers of width {width} cannot read {size - 1} numbers apart"
            raise BijectorError(name, found, f"Give a width of at least {size - 1}.")
        sizes = (size, size * parameters(transformer))
        network = silent_network(sizes, width, depth, activation, key, name)
        self.conditioner = Conditioner(spread(transformer, size, name), MaskedNetwork(network))

    def image(self, y: Float[Array, "n"]) -> Image:
        return bijection(*forward_each(self.conditioner.maps(y), y))

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        def find(y: Array, place: Array) -> tuple[Array, None]:
            """With all before it found, find the number at `place`."""
            found = inverse_each(self.conditioner.maps(y), x)
            return jnp.where(places == place, found, y), None

        places = jnp.arange(x.size)
        return jax.lax.scan(find, jnp.zeros_like(x), places)[0]


class MaskedNetwork(eqx.Module):
    """A network whose outputs for a number read only the numbers before it.

    Source: Germain et al. (2015), MADE, section 4, with hidden degrees spread evenly.
    """

    network: eqx.nn.MLP

    def __call__(self, y: Float[Array, "n"]) -> Float[Array, "m"]:
        layers = lambda network: [layer.weight for layer in network.layers]  # noqa: E731
        weights = [
            jnp.where(mask, weight, 0)
            for mask, weight in zip(self._masks(), layers(self.network), strict=True)
        ]
        return eqx.tree_at(layers, self.network, weights)(y)

    def _masks(self) -> list[np.ndarray]:
        """Which numbers each layer may read, layer by layer.

        A hidden number of degree d reads no input after the d-th; the outputs of the i-th
        number read degrees below i.
        """
        size, width = int(self.network.in_size), self.network.width_size
        inputs = 1 + np.arange(size)
        hidden = 1 + np.arange(width) * (size - 1) // width
        outputs = np.repeat(inputs, int(self.network.out_size) // size)
        degrees = [inputs, *[hidden] * self.network.depth]
        within = [after[:, None] >= before for before, after in pairwise(degrees)]
        return [*within, outputs[:, None] > degrees[-1]]
