"""Chains of all levels of parallel tempering: a run that swaps points when its chains meet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax
import numpy as np

from ..density.base import LogDensity
from ..density.family import Family, singleton
from ..density.points import Points
from ..density.tempered import Tempered, draw_reference, evaluate_ends
from ..engines.base import Draws, Engine, Tuning
from ..numerics import threefry
from ..numerics.keys import derive_chain_keys
from ..numerics.tempering import Trips, choose_sources, swap_probabilities
from .chains import make_groups, make_states
from .collect import Group, regroup
from .devices import Plan
from .loop import SAMPLING
from .packed import Packed, pack
from .run import Run
from .warmup import Warmup, begin_sampling, read_windows, split_by_dataset, stack_tunings

# Folded into the root key for swaps and for draws of the reference; no chain has these indices.
SWAPS, REFERENCE = 2**31 + 1, 2**31 + 2


@dataclass
class Replicas(Run):
    """A run with the same number of chains on each level above the reference.

    The points at the reference are drawn afresh in every turn. Chain `c` of the level `i` is number
    `(i - 1) * ladders + c`.

    Attributes:
        powers: Powers of all levels, the reference's 0 first.
        ladders: Number of chains of each level.
        log_ratios: Log of posterior over reference at the points of all levels before each turn of
            swaps, each of shape (levels, ladders).
        trips: Follows points from the reference to the posterior.
    """

    powers: np.ndarray = field(default_factory=lambda: np.ones(1))
    ladders: int = 1
    log_ratios: list[np.ndarray] = field(default_factory=list)
    trips: Trips = field(default_factory=lambda: Trips(1, 2))

    @property
    def turns(self) -> int:
        """Number of turns of swaps in the present window."""
        return len(self.log_ratios)

    def _keep_newest(self, group: Group) -> list[list[np.ndarray]]:
        """Keep the newest draws alone of chains below the top, once warm-up is done."""
        below = group.chains.stop <= self.chains - self.ladders
        if self.warmup.window != SAMPLING or not below:
            return group.rows
        return [[_newest(own)] for own in group.rows]

    def last_positions(self) -> np.ndarray:
        """Return the last draw of every chain, shape (levels - 1, ladders, size)."""
        size = self.density.size
        last = [_newest(own)[0, :size] for group in self.groups for own in group.rows]
        return np.stack(last).reshape(-1, self.ladders, size)

    def window_draws(self) -> list[Draws]:
        """Return the draws of the present window, level by level."""
        return split_by_dataset(read_windows(self.warmup, self.format)[0], self.family.count)

    def learn(self, remaining: tuple[int, ...]) -> Tuning:
        """Return the tuning that each level has learned in the present window.

        Args:
            remaining: Draws per chain in the windows of warm-up that follow.
        """
        pairs = zip(self.warmup.split_tuning(), self.window_draws(), strict=True)
        ends = [self.engine.end_window(tuning, [own], remaining) for tuning, own in pairs]
        return stack_tunings([end.tuning for end in ends])

    def swap(self) -> None:
        """Let neighboring levels swap their points, in the turn of even or of odd pairs."""
        positions = np.concatenate([self._draw_reference(), self.last_positions()])
        flat = positions.reshape(-1, positions.shape[-1])
        ends = evaluate_ends(self._target, flat)
        log_ratios = ends.log_ratio.reshape(positions.shape[:2])
        probabilities = swap_probabilities(self.powers, log_ratios)
        uniforms = threefry.uniform(self._keys(SWAPS), probabilities.shape, np.float64, 0.0, 1.0)
        sources = choose_sources(probabilities, self.turns, uniforms)
        taken = (sources * self.ladders + np.arange(self.ladders))[1:].ravel()
        powers = np.repeat(self.powers[1:], self.ladders)
        points = jax.tree.map(lambda a: a[taken], ends).at(flat[taken], powers)
        moved = (sources != np.arange(len(sources))[:, None])[1:].ravel()
        groups = [replace(own, rows=self._keep_newest(own)) for own in self.groups]
        self.warmup = replace(self.warmup, groups=_move(self.engine, groups, points, moved))
        self.trips.follow(sources)
        self.log_ratios.append(log_ratios)

    @property
    def _target(self) -> Tempered:
        target = self.density
        assert isinstance(target, Tempered)
        return target

    def _draw_reference(self) -> np.ndarray:
        keys = threefry.fold_in(self._keys(REFERENCE), np.arange(self.ladders))
        return draw_reference(self._target, keys)[None]

    def _keys(self, purpose: int) -> np.ndarray:
        assert self.key is not None
        own = threefry.fold_in(self.key, np.array(purpose))
        own = threefry.fold_in(own, np.array(self.warmup.window))
        return threefry.fold_in(own, np.array(self.turns))


def _newest(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the newest record of a chain, shape (1, record)."""
    return next(block[-1:] for block in reversed(blocks) if len(block))


def _move(
    engine: Engine, groups: Sequence[Group], points: Points, moved: np.ndarray
) -> tuple[Group, ...]:
    """Put some chains at other points; each keeps the step size that its level has learned."""
    states = [jax.tree.map(np.asarray, group.state) for group in groups]
    old = jax.tree.map(lambda *own: np.concatenate(own), *states)
    fresh: Packed = make_states(engine, points)
    fresh = pack(fresh.unpack()._replace(step=old.unpack().step), lead=1)
    pick = lambda new, kept: np.where(moved[:, None], new, kept)  # noqa: E731
    states = jax.tree.map(pick, fresh, old)
    parts = [slice(group.chains.start, group.chains.stop) for group in groups]
    each = [jax.tree.map(lambda a, own=own: a[own], states) for own in parts]
    return tuple(replace(group, state=own) for group, own in zip(groups, each, strict=True))


def make_replicas(
    family: Family, engine: Engine, plan: Plan, key: np.ndarray, points: Points, tuning: Tuning,
    powers: np.ndarray, window: int, draws: int,
) -> Replicas:  # fmt: skip
    """Make chains of all levels at evaluated points, with no draws yet.

    Args:
        family: The log density of each level above the reference.
        engine: Moves the chains.
        plan: How they share the machine.
        key: Key data of the run.
        points: Where they begin, level by level.
        tuning: Tuning of each level, stacked.
        powers: Powers of all levels, the reference's 0 first.
        window: Number of the window; 0 in sampling.
        draws: Draws per chain in it.
    """
    chains = len(points.positions)
    keys = derive_chain_keys(key, chains)[0]
    groups = make_groups(keys, make_states(engine, points), plan.width)
    warmup = Warmup(groups, tuning, draws, (draws,), family.count, window=window)
    warmup = begin_sampling(warmup) if window == SAMPLING else warmup
    ladders = chains // family.count
    return Replicas(
        family, engine, plan, warmup, key=key, powers=powers, ladders=ladders,
        trips=Trips(ladders, len(powers)),
    )  # fmt: skip


def take_top(replicas: Replicas, density: LogDensity, warmup: int, gradients: int) -> Run:
    """Return the chains of power 1 as a run of the posterior itself.

    Args:
        replicas: The chains of all levels, after warm-up.
        density: The log density of the posterior.
        warmup: Draws per chain that warm-up took.
        gradients: Gradients that the warm-up of all levels took.
    """
    first = replicas.chains - replicas.ladders
    width = replicas.plan.width
    width = width if replicas.ladders % width == 0 else replicas.ladders
    groups = [
        replace(group, chains=range(group.chains.start - first, group.chains.stop - first))
        for group in regroup(replicas.groups, width)
        if group.chains.start >= first
    ]
    own = replace(
        replicas.warmup, groups=tuple(groups), tuning=replicas.warmup.split_tuning()[-1],
        densities=1, planned=warmup, draws=warmup, gradients=gradients,
    )  # fmt: skip
    return Run(
        singleton(density), replicas.engine, replicas.plan, own, replicas.timing,
        replicas.why_not_native, replicas.rewritten, progress=replicas.progress, key=replicas.key,
    )  # fmt: skip
