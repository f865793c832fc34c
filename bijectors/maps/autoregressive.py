"""A masked autoregressive map: each number is mapped by parameters computed from those before."""

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
    count_parameters,
    forward_each,
    inverse_each,
    make_zero_network,
    replicate,
)


class MaskedAutoregressive(Vectorwise):
    """x_i = T(y_i; y_1, ..., y_(i-1)): the numbers before y_i determine how it is mapped.

    T is `transformer`, to whose parameters a masked network adds its outputs. `forward` and its
    log-determinant cost one pass of the network. `inverse` costs one pass for each number, in a
    `scan`, so it is differentiable too. This direction suits sampling and variational fits (an
    inverse autoregressive flow). To fit data by maximum likelihood, use
    `Invert(MaskedAutoregressive(...))`, whose `inverse_and_log_det` costs one pass and whose
    `forward` costs many (a masked autoregressive flow). In the sequential direction, errors in
    one number propagate to those after it.

    The log-determinant is the sum of those of T. A new map applies its transformer alone, since
    the outputs of the network are initially zero: with BoundedAffine() and
    RationalQuadraticSpline(), it is the identity. Every leaf is an array to learn.
    Source: Papamakarios, Pavlakou & Murray (2017), Masked Autoregressive Flow for Density
    Estimation, sections 3.1 and 3.2.

    Args:
        size: Length of the vectors.
        transformer: T, a map of single numbers.
        key: Draws the network's weights.
        width: Number of units in each hidden layer of the network.
        depth: Number of its hidden layers.
        activation: Applied to each unit of a hidden layer.

    Attributes:
        conditioner: The maps of all numbers, each computed from the numbers before it.
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
        """Make a map that initially applies its transformer alone.

        Args:
            size: Length of the vectors.
            transformer: Map of numbers whose leaves may be any real numbers; the network adds
                to them.
            key: Random key of the network's hidden layers.
            width: Length of each hidden layer, at least `size - 1`.
            depth: Number of hidden layers.
            activation: Applied to every hidden unit. If it is smooth and bounded, as tanh is,
                the map is smooth and the network stays finite for large inputs.

        Raises:
            BijectorError: The size is zero, the network is too narrow, or the transformer is
                not a map of numbers with parameters.
        """
        name = "MaskedAutoregressive"
        if size < 1:
            raise BijectorError(name, f"the size is {size}", "Give a size of at least 1.")
        if depth and width < size - 1:
            found = f"hidden layers of width {width} are too narrow for {size - 1} conditionals"
            raise BijectorError(name, found, f"Give a width of at least {size - 1}.")
        sizes = (size, size * count_parameters(transformer))
        network = make_zero_network(sizes, width, depth, activation, key, name)
        self.conditioner = Conditioner(replicate(transformer, size, name), MaskedNetwork(network))

    def image(self, y: Float[Array, "n"]) -> Image:
        return bijection(*forward_each(self.conditioner.maps(y), y))

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        def solve(y: Array, index: Array) -> tuple[Array, None]:
            """Solve for the number at `index`, given all numbers before it."""
            found = inverse_each(self.conditioner.maps(y), x)
            return jnp.where(indices == index, found, y), None

        indices = jnp.arange(x.size)
        return jax.lax.scan(solve, jnp.zeros_like(x), indices)[0]


class MaskedNetwork(eqx.Module):
    """A network whose outputs for each number depend only on the numbers before it.

    Source: Germain et al. (2015), MADE, section 4, with evenly spaced hidden degrees.
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
        """Return for each layer which weights are kept.

        A hidden unit of degree d depends on the first d inputs alone; the outputs for the i-th
        number use hidden units of degree below i.
        """
        size, width = int(self.network.in_size), self.network.width_size
        inputs = 1 + np.arange(size)
        hidden = 1 + np.arange(width) * (size - 1) // width
        outputs = np.repeat(inputs, int(self.network.out_size) // size)
        degrees = [inputs, *[hidden] * self.network.depth]
        within = [after[:, None] >= before for before, after in pairwise(degrees)]
        return [*within, outputs[:, None] > degrees[-1]]
