"""Flows to learn: steps of one kind, stacked, with the numbers shuffled between them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .base import Bijector
from .compose import Chain
from .maps.affine import BoundedAffine
from .maps.autoregressive import MaskedAutoregressive
from .maps.coupling import Coupling
from .maps.linear import Permute
from .maps.stack import Stack

Order = tuple[int, ...]


def coupling_flow(
    size: int,
    transformer: Bijector | None = None,
    *,
    key: PRNGKeyArray,
    steps: int = 4,
    width: int = 64,
    depth: int = 2,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> Bijector:
    """Make a flow of couplings that is the identity, to be learned from there.

    A step lets each half of the vector be mapped as the other says, then deals the numbers
    out anew, those at even places first. Both directions cost one pass of each network.

    Args:
        size: Length of the vectors, at least 2.
        transformer: Map of single numbers; by default `BoundedAffine()`.
        key: Random key of the networks' hidden layers.
        steps: Number of steps, each of two couplings.
        width: Length of each hidden layer.
        depth: Number of hidden layers.
        activation: Applied to every hidden number.

    Raises:
        BijectorError: As `Coupling` and `Stack` raise.
    """
    transformer = BoundedAffine() if transformer is None else transformer
    network = {"width": width, "depth": depth, "activation": activation}

    def both_halves(key: PRNGKeyArray) -> Bijector:
        one, other = jax.random.split(key)
        return Chain(
            Coupling(size, transformer, key=other, flipped=True, **network),
            Coupling(size, transformer, key=one, **network),
        )

    return _shuffled(both_halves, (*range(0, size, 2), *range(1, size, 2)), key, steps)


def autoregressive_flow(
    size: int,
    transformer: Bijector | None = None,
    *,
    key: PRNGKeyArray,
    steps: int = 4,
    width: int = 64,
    depth: int = 2,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> Bijector:
    """Make a flow of masked autoregressive maps that is the identity, to be learned from there.

    After each step the order is reversed. `forward` costs one pass of each network, `inverse`
    `size` passes; put the flow into `Invert` to fit data. See `MaskedAutoregressive`.

    Args:
        size: Length of the vectors.
        transformer: Map of single numbers; by default `BoundedAffine()`.
        key: Random key of the networks' hidden layers.
        steps: Number of steps, each of one map.
        width: Length of each hidden layer, at least `size - 1`.
        depth: Number of hidden layers.
        activation: Applied to every hidden number.

    Raises:
        BijectorError: As `MaskedAutoregressive` and `Stack` raise.
    """
    transformer = BoundedAffine() if transformer is None else transformer

    def step(key: PRNGKeyArray) -> Bijector:
        return MaskedAutoregressive(
            size, transformer, key=key, width=width, depth=depth, activation=activation
        )

    return _shuffled(step, tuple(reversed(range(size))), key, steps)


def _shuffled(
    make: Callable[[PRNGKeyArray], Bijector], order: Order, key: PRNGKeyArray, steps: int
) -> Bijector:
    """Stack steps, each followed by a permutation, and put the numbers back at the end."""
    layers = [Chain(Permute(order), make(each)) for each in jax.random.split(key, steps)]
    places = np.arange(len(order))
    for _ in range(steps):
        places = places[np.array(order)]
    return Chain(Permute(tuple(np.argsort(places).tolist())), Stack(layers))
