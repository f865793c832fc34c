"""Look around from other starts while a warm-up ends early: chains and their scouts together."""

from typing import NamedTuple

import jax
import numpy as np

from ..engines.base import Draws

# So many chains have looked from as many starts already: where a third of the starts leads astray,
# as on a Lotka-Volterra model, all of them do once in 40 million.
CHAINS_ENOUGH = 16


class Pool(NamedTuple):
    """Chains and their scouts, those of each density side by side.

    Attributes:
        draws: The last third of a window of both: scouts begin far away.
        order: Which each is: the chains are numbered first, then their scouts.
    """

    draws: Draws
    order: np.ndarray

    def numbered(self, places: np.ndarray) -> np.ndarray:
        """Read from places in the pool where each chain goes on from, as chains are numbered."""
        return self.order[places][self.order < len(self.order) // 2]


def pool(chains: Draws, scouts: Draws, count: int) -> Pool:
    """Put chains beside their scouts.

    Args:
        chains: A window of all chains.
        scouts: The same window of their scouts.
        count: Number of densities, which have equally many chains, one after the other.
    """
    number, draws = chains.positions.shape[:2]

    def beside(own: np.ndarray, others: np.ndarray) -> np.ndarray:
        parts = [a.reshape(count, number // count, *a.shape[1:]) for a in (own, others)]
        return np.concatenate(parts, axis=1).reshape(2 * number, *own.shape[1:])

    last = slice(draws - draws // 3, None)
    both = jax.tree.map(lambda a, b: beside(a[:, last], b[:, last]), chains, scouts)
    return Pool(both, beside(np.arange(number), number + np.arange(number)))
