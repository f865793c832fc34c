"""Which group makes the next block: each in turn, but none that is far ahead of another."""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Protocol, TypeVar

import numpy as np


class HasDraws(Protocol):
    """Chains that have made draws.

    Attributes:
        drawn: Draws that each chain has made in the present window, shape (group,).
    """

    drawn: np.ndarray


G = TypeVar("G", bound=HasDraws)


def take_next(waiting: deque[G], groups: Sequence[G], far: int | None) -> G | None:
    """Take the next group that is not far ahead; `None` if all that wait are.

    The group that is behind all others is taken if it waits, so one of them always goes on.

    Args:
        waiting: Groups of which no block is in flight.
        groups: All groups.
        far: Number of draws by which a group may be ahead of another; `None` sets no limit.
    """
    last = inf if far is None else far + min(int(group.drawn.min()) for group in groups)
    for _ in range(len(waiting)):
        if waiting[0].drawn.min() <= last:
            return waiting.popleft()
        waiting.rotate(-1)
    return None
