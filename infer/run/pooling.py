"""Put the draws of chains and of their scouts together, data set by data set."""

from typing import Any, NamedTuple

import jax
import numpy as np

from ..engines.base import Draws


class Pool(NamedTuple):
    """Chains and their scouts together: for each density its chains, then its scouts.

    Attributes:
        draws: The last third of a window, because scouts begin far away.
        order: The number of each; all chains are numbered before all scouts.
    """

    draws: Draws
    order: np.ndarray

    def number_as_chains(self, relocation: np.ndarray) -> np.ndarray:
        """Return the relocation of the chains alone, numbered as chains and scouts are."""
        return self.order[relocation][self.order < len(self.order) // 2]


def pool(chains: Draws, scouts: Draws, count: int) -> Pool:
    """Put the scouts of each density after its chains.

    Args:
        chains: A window of all chains.
        scouts: The same window of their scouts.
        count: Number of densities, which have equally many chains, one after the other.
    """
    number = len(chains.positions)
    own, others = map(_take_last_third, (chains, scouts))
    order = interleave(np.arange(number), number + np.arange(number), count)
    return Pool(interleave(own, others, count), order)


def keep_newest(scouts: Draws) -> Draws:
    """Return a copy of the draws of scouts that count, without their gradients."""
    newest = _take_last_third(scouts)
    return jax.tree.map(np.copy, newest._replace(gradients=newest.gradients[..., :0]))


def _take_last_third(window: Draws) -> Draws:
    draws = window.positions.shape[1]
    return jax.tree.map(lambda a: a[:, draws - draws // 3 :], window)


def interleave(chains: Any, scouts: Any, count: int) -> Any:
    """Join arrays, or pytrees of arrays, with the rows of the scouts of a density after its own."""

    def join(own: np.ndarray, others: np.ndarray) -> np.ndarray:
        parts = [a.reshape(count, len(a) // count, *a.shape[1:]) for a in (own, others)]
        return np.concatenate(parts, axis=1).reshape(2 * len(own), *own.shape[1:])

    return jax.tree.map(join, chains, scouts)
