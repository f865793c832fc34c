"""Values and statistics of a run's draws, with axes of chains, draws and data sets."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...density.family import Family
from ...engines.base import Draws, Engine
from ...programs.parts import work_in_turn
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


def read_all_draws(run: Run) -> Drawn:
    """Do as `read_draws` with all draws of a run; if it has many data sets, with some at a time.

    Raises:
        RunError: Some chain has no draw yet.
    """
    count = run.family.count
    if count == 1:
        return read_draws(run, run.draws(gradients=False))
    held = _hold(run)

    def read_some(few: slice) -> Drawn:
        return _name_each(run, run.family.some(few), held.draws(gradients=False, few=few))

    numbers = held.fewest() * (run.chains // count) * run.format.record
    return _by_chain(work_in_turn(read_some, count, numbers))


def _hold(run: Run) -> Run:
    """Return a run with the draws of this moment, to which a thread that advances it adds none."""
    groups = tuple(
        replace(own, drawn=own.drawn, rows=[list(blocks) for blocks in own.rows])
        for own in run.groups
    )
    return replace(run, warmup=replace(run.warmup, groups=groups))


def read_draws(run: Run, draws: Draws) -> Drawn:
    """Map draws of a run to named values, and name their statistics as ArviZ does."""
    return _by_chain(_name_each(run, run.family, draws))


def _name_each(run: Run, family: Family, draws: Draws) -> Drawn:
    """Name values and statistics, which have a leading axis of data sets."""
    apart = lambda a: a.reshape(family.count, -1, *a.shape[1:])  # noqa: E731
    values = constrain_each(family, apart(draws.positions))
    stats = name_stats(run.engine, draws.stats)
    return Drawn(values, {name: apart(a) for name, a in stats.items()})


def _by_chain(drawn: Drawn) -> Drawn:
    """Move the axis of data sets behind those of chains and draws; leave it out if it has one."""
    last = lambda a: a[0] if len(a) == 1 else np.moveaxis(a, 0, 2)  # noqa: E731
    return Drawn(*({name: last(a) for name, a in part.items()} for part in drawn))


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
