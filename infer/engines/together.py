"""Tune many densities, at their starts and after windows: in batches if the engine whitens."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..numerics.hamiltonian import HamiltonianTuning
from ..numerics.metric import Diagonal, LowRank
from ..numerics.retune import retune
from ..numerics.stray import find_stray
from ..target import Target
from .base import Draws, Engine, Tuning
from .whitened import Hamiltonian, Whitened

# Larger draws and scores might overflow when they are whitened. No number of single precision is: a
# float of Python would be cast to it, and overflow.
LARGEST = np.float64(1e100)
# Coordinates of draws that are tuned at a time, whose temporary copies fit into a cache.
CACHED = 2**17


def first_each(
    engine: Engine, member: Callable[[int], Target], positions: np.ndarray, gradients: np.ndarray
) -> Tuning:
    """Return what `engine.first_tuning` returns for each density, along a leading axis.

    Args:
        engine: The engine.
        member: Returns a density, by its index.
        positions: Starts of the chains, shape (densities, chains, size).
        gradients: Gradients of the log density there.
    """
    if isinstance(engine, Hamiltonian) and type(engine).first_tuning is Hamiltonian.first_tuning:
        return engine.first_tuning(member(0), positions, gradients)
    each = map(engine.first_tuning, map(member, range(len(positions))), positions, gradients)
    return jax.tree.map(lambda *a: np.stack(a), *each)


class EachEnd(NamedTuple):
    """The end of a window, for several densities; see `WindowEnd`.

    Attributes:
        tuning: Tuning of each density, along a leading axis.
        windows: Draws per chain in each window still to come, of each density.
        relocation: Where chains continue, of each density; `None` leaves all its chains.
    """

    tuning: Tuning
    windows: list[tuple[int, ...]]
    relocation: list[np.ndarray | None]


def end_each(
    engine: Engine, tuning: Tuning, recent: Sequence[Draws], windows: tuple[int, ...]
) -> EachEnd:
    """Return what `engine.end_window` returns for each density, bit for bit.

    Args:
        engine: The engine.
        tuning: Tuning of each density, along a leading axis.
        recent: The last one or two windows, with arrays of shape (densities, chains, draws, ...).
        windows: As in `Engine.end_window`.
    """
    count = len(recent[-1].positions)
    made, planned = jax.tree.map(np.array, tuning), [windows] * count
    relocation: list[np.ndarray | None] = [None] * count
    is_regular = _find_regular(engine, tuning, recent, len(windows))
    regular = np.flatnonzero(is_regular)
    some = max(CACHED // max(recent[-1].positions[0].size, 1), 1)
    for begin in range(0, len(regular), some):
        own = regular[begin : begin + some]
        learned = _retune(_take(tuning, own), [_take(w, own) for w in recent], len(windows))
        _put(made, own, learned)
        done = recent[-1].positions.shape[2]
        for i, settled in zip(own, learned.settled, strict=True):
            planned[i] = _choose_windows(engine, settled, done, windows)
    for i in np.flatnonzero(~is_regular):
        end = engine.end_window(_take(tuning, i), [_take(w, i) for w in recent], windows)
        _put(made, i, end.tuning)
        planned[i], relocation[i] = end.windows, end.relocation
    return EachEnd(made, planned, relocation)


def _find_regular(
    engine: Engine, tuning: Tuning, recent: Sequence[Draws], remaining: int
) -> np.ndarray:
    """Return which densities can be tuned together: no chain is relocated, all rows are finite."""
    count, last = len(recent[-1].positions), recent[-1]
    batched = isinstance(engine, Whitened) and type(engine).end_window is Whitened.end_window
    is_plain = isinstance(tuning, HamiltonianTuning) and type(tuning.metric) in (Diagonal, LowRank)
    if not batched or not is_plain:
        return np.zeros(count, bool)
    each = [a for window in recent for a in window[:2]]
    regular = np.all([(np.abs(a) < LARGEST).all((1, 2, 3)) for a in each], axis=0)
    own = np.flatnonzero(regular)
    if own.size:
        draws, scores, stats = _take(last, own)
        found = find_stray(_take(tuning.metric, own), draws, scores, stats, remaining)
        regular[own] = ~found.any(-1)
    return regular


def _retune(tuning: Tuning, recent: Sequence[Draws], remaining: int) -> HamiltonianTuning:
    draws, scores = zip(*(own[:2] for own in recent), strict=True)
    return retune(tuning, draws, scores, recent[-1].stats, remaining)


def _choose_windows(
    engine: Any, settled: bool, done: int, windows: tuple[int, ...]
) -> tuple[int, ...]:
    """Do as `remaining_windows` does after a window without relocation."""
    if not engine.stop_early:
        return windows
    return windows[-1:] if settled else windows or (done,)


def _take(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda a: np.asarray(a[index]), tree)


def _put(tree: Any, index: Any, values: Any) -> None:
    for into, own in zip(jax.tree.leaves(tree), jax.tree.leaves(values), strict=True):
        into[index] = own
