"""Records of chains in memory: take some of them, and drop those that are stored."""

from collections.abc import Sequence

import numpy as np

from ..run.collect import Group


def take(groups: Sequence[Group], begin: int, end: int, thin: int = 1) -> np.ndarray:
    """Copy records of all chains that have a number in the present window.

    Args:
        groups: The chains, which hold these records.
        begin: Number of the first record.
        end: Number after that of the last one.
        thin: Every `thin`-th record is taken, from the first.

    Returns:
        Shape (chains, records, record).
    """
    chains = [(group, own) for group in groups for own in group.rows]
    taken: np.ndarray | None = None
    for i, (group, own) in enumerate(chains):
        parts = _cut(own, begin - group.dropped, end - group.dropped)
        joined = (parts[0] if len(parts) == 1 else np.concatenate(parts))[::thin]
        # One chain after the other, since a copy of all takes memory.
        if taken is None:
            taken = np.empty((len(chains), *joined.shape), joined.dtype)
        taken[i] = joined
    assert taken is not None
    return taken


def _cut(blocks: list[np.ndarray], begin: int, end: int) -> list[np.ndarray]:
    """Return views of the records between two places."""
    cut = []
    for block in blocks:
        if begin < len(block) and end > 0:
            cut.append(block[max(begin, 0) : end])
        begin, end = begin - len(block), end - len(block)
    return cut


def drop(group: Group, before: int) -> None:
    """Remove the records of a group before a number of the present window."""
    count = before - group.dropped
    if count > 0:
        group.rows = [_drop(own, count) for own in group.rows]
        group.dropped = before


def _drop(blocks: list[np.ndarray], count: int) -> list[np.ndarray]:
    kept = []
    for block in blocks:
        if count < len(block):
            # A copy, so that the rest of the block is freed.
            kept.append(block[count:].copy() if count else block)
        count = max(count - len(block), 0)
    return kept
