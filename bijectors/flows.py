"""Normalizing flows to learn: steps of one kind, with a permutation between them."""

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
    """Make a flow of couplings, initially the identity.

    Each step maps either half of the vector with parameters computed from the other half, then
    permutes the vector, entries of even index first. Both directions cost one pass of each
    network.

    Args:
        size: Length of the vectors, at least 2.
        transformer: Map of single numbers; by default `BoundedAffine()`.
        key: Random key of the networks' hidden layers.
        steps: Number of steps, each of two couplings.
        width: Length of each hidden layer.
        depth: Number of hidden layers.
        activation: Applied to every hidden unit.

    Raises:
        BijectorError: See `Coupling` and `Stack`.
    """
    transformer = BoundedAffine() if transformer is None else transformer
    network = {"width": width, "depth": depth, "activation": activation}

    def couple_both_halves(key: PRNGKeyArray) -> Bijector:
        one, other = jax.random.split(key)
        return Chain(
            Coupling(size, transformer, key=other, flipped=True, **network),
            Coupling(size, transformer, key=one, **network),
        )

    even_first = (*range(0, size, 2), *range(1, size, 2))
    return _stack_with_permutations(couple_both_halves, even_first, key, steps)


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
    """Make a flow of masked autoregressive maps, initially the identity.

    After each step the order is reversed. `forward` costs one pass of each network, `inverse`
    `size` passes; to fit data, use `Invert` of the flow. See `MaskedAutoregressive`.

    Args:
        size: Length of the vectors.
        transformer: Map of single numbers; by default `BoundedAffine()`.
        key: Random key of the networks' hidden layers.
        steps: Number of steps, each of one map.
        width: Length of each hidden layer, at least `size - 1`.
        depth: Number of hidden layers.
        activation: Applied to every hidden unit.

    Raises:
        BijectorError: See `MaskedAutoregressive` and `Stack`.
    """
    transformer = BoundedAffine() if transformer is None else transformer

    def make_step(key: PRNGKeyArray) -> Bijector:
        return MaskedAutoregressive(
            size, transformer, key=key, width=width, depth=depth, activation=activation
        )

    return _stack_with_permutations(make_step, tuple(reversed(range(size))), key, steps)


def _stack_with_permutations(
    make: Callable[[PRNGKeyArray], Bijector], order: Order, key: PRNGKeyArray, steps: int
) -> Bijector:
    """Stack steps, each followed by a permutation, and undo the permutations at the end."""
    layers = [Chain(Permute(order), make(each)) for each in jax.random.split(key, steps)]
    indices = np.arange(len(order))
    for _ in range(steps):
        indices = indices[np.array(order)]
    return Chain(Permute(tuple(np.argsort(indices).tolist())), Stack(layers))
