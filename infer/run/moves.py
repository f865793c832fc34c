"""Moves of chains in warm-up: which chain left which place, and where it went on from."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..engines.base import Draws


class Move(NamedTuple):
    """A chain that warm-up moved from a region that holds next to nothing of the posterior.

    Attributes:
        chain: Its index.
        left: Its last draw there, in the flat vector, shape (size,).
        reached: Where it went on from, likewise.
    """

    chain: int
    left: np.ndarray
    reached: np.ndarray


def moves_to(places: np.ndarray, windows: Sequence[Draws]) -> tuple[Move, ...]:
    """List the chains that go on from another's place.

    Args:
        places: For each chain the one whose place it takes; scouts are numbered after the chains.
        windows: The window that was just made: of the chains, and of scouts if there are any.
    """
    ends = np.concatenate([window.positions[:, -1] for window in windows])
    changed = np.flatnonzero(places != np.arange(len(places)))
    return tuple(Move(int(i), ends[i].copy(), ends[places[i]].copy()) for i in changed)
