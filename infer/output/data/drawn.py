"""Values and statistics of a run's draws, with axes of chains, draws and data sets."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...engines.base import Draws, Engine
from ...run.run import Run
from .members import constrain_each


class Drawn(NamedTuple):
    """Named arrays; with several data sets each has one more axis after those two.

    Attributes:
        values: Latent and derived values, shape (chains, draws, *site).
        stats: Statistics by ArviZ's names, shape (chains, draws).
    """

    values: Mapping[str, np.ndarray]
    stats: Mapping[str, np.ndarray]


def read_draws(run: Run, draws: Draws) -> Drawn:
    """Map draws of a run to named values, and name their statistics as ArviZ does."""
    stats = name_stats(run.engine, draws.stats)
    count, positions = run.family.count, draws.positions
    values = constrain_each(run.family, positions.reshape(count, -1, *positions.shape[1:]))
    if count == 1:
        return Drawn({name: a[0] for name, a in values.items()}, stats)
    moved = {name: np.moveaxis(a, 0, 2) for name, a in values.items()}
    return Drawn(moved, {n: split_by_dataset(a, count) for n, a in stats.items()})


def read_warmup(run: Run) -> Drawn | None:
    """Return the draws of warm-up, if the run was asked to keep them and has some."""
    windows = run.warmup.kept
    return read_draws(run, _join_windows(windows)) if windows else None


def _join_windows(windows: Sequence[Draws]) -> Draws:
    join = lambda *parts: np.concatenate(parts, axis=1)  # noqa: E731
    stats = {name: join(*(own.stats[name] for own in windows)) for name in windows[0].stats}
    positions, gradients = (
        join(*parts)
        for parts in zip(*((own.positions, own.gradients) for own in windows), strict=True)
    )
    return Draws(positions, gradients, stats)


def name_stats(engine: Engine, stats: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add to statistics what ArviZ has a name for and the engine's settings tell."""
    limit, depth = getattr(engine, "max_depth", None), stats.get("tree_depth")
    if limit is None or depth is None:
        return dict(stats)
    return dict(stats) | {"reached_max_treedepth": np.asarray(depth >= limit)}


def stack_datasets(each: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Stack the arrays of several data sets; leave those of a single one as they are."""
    if len(each) == 1:
        return dict(each[0])
    return {name: np.stack([own[name] for own in each]) for name in each[0]}


def split_by_dataset(array: np.ndarray, count: int) -> np.ndarray:
    """Reshape (data sets * chains, draws, *rest) to (chains, draws, data sets, *rest)."""
    return np.moveaxis(array.reshape(count, -1, *array.shape[1:]), 0, 2)
