"""Warm-up as one value: what it knows, and the steps from one window to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import jax
import numpy as np

from ..density.points import Points
from ..density.recentered import Centering
from ..engines.base import Draws, Engine, Tuning
from ..engines.together import end_each
from .collect import Group, join_records, regroup, relocate
from .loop import SAMPLING, RecordFormat
from .pooling import keep_newest, pool

# An engine may extend warm-up to this multiple of the planned draws.
LONGEST_WARMUP = 2
# With this many chains no scouts are sent, because the chains themselves begin at as many starts:
# if a third of the starts lead to a region of negligible mass, as in a Lotka-Volterra model, all
# of them do so once in 40 million runs.
CHAINS_ENOUGH = 16


class Move(NamedTuple):
    """A chain that warm-up relocated from a region of negligible mass.

    Attributes:
        chain: The index of the chain.
        left: Its last draw there, in the flat vector, shape (size,).
        reached: The draw that it continued from, shape (size,).
    """

    chain: int
    left: np.ndarray
    reached: np.ndarray


@dataclass(frozen=True, eq=False)
class Warmup:
    """What warm-up knows, and the chains as it left them; every step returns a new value.

    Attributes:
        groups: The chains, by program. Blocks advance them in place.
        tuning: The tuning in use; for several densities, stacked along a leading axis.
        planned: Planned draws per chain.
        windows: Draws per chain in each window still to come, the present one first.
        densities: Number of densities, each of which has the same number of chains.
        window: Number of the present window; 0 in sampling.
        recent: Draws of the last window, or of the last two.
        scouts: As many chains again from other starts, by program. They make the last window
            together with the chains if warm-up would end early; see `skipped_windows`.
        skipped_windows: Windows that an early end would skip; only while scouts are at work.
        moves: The chains that were relocated.
        draws: Draws per chain that were made.
        gradients: Gradients that were computed, if the engine counts them.
        kept: Draws of the chains in all windows so far, without gradients; `None` if they are not
            to be kept.
        centering: How far sites are centered in the coordinates of chains, scouts and tuning;
            `None` if this is not learned. `kept` and `moves` are in those of the density.
        spare: Where the scouts start, in the coordinates of the scouts; only if it is learned.
        scouted: The newest draws of the scouts, once they took part, without gradients.
    """

    groups: tuple[Group, ...] = field(repr=False)
    tuning: Tuning = field(repr=False)
    planned: int
    windows: tuple[int, ...]
    densities: int = 1
    window: int = 1
    recent: tuple[Draws, ...] = field(default=(), repr=False)
    scouts: tuple[Group, ...] = field(default=(), repr=False)
    skipped_windows: tuple[int, ...] = ()
    moves: tuple[Move, ...] = field(default=(), repr=False)
    draws: int = 0
    gradients: int = 0
    kept: tuple[Draws, ...] | None = field(default=None, repr=False)
    centering: Centering | None = field(default=None, repr=False)
    spare: Points | None = field(default=None, repr=False)
    scouted: Draws | None = field(default=None, repr=False)

    @property
    def chains(self) -> int:
        """Number of chains of all densities together."""
        return sum(len(group.chains) for group in self.groups)

    @property
    def relocated(self) -> tuple[int, ...]:
        """Indices of the chains that were relocated, in order."""
        return tuple(sorted({move.chain for move in self.moves}))

    @property
    def active(self) -> tuple[Group, ...]:
        """The groups that make the present window."""
        return (*self.groups, *self.scouts) if self.skipped_windows else self.groups

    def split_tuning(self) -> list[Tuning]:
        """Return the tuning of each density."""
        return [self.tuning_of(i) for i in range(self.densities)]

    def tuning_of(self, density: int) -> Tuning:
        """Return the tuning of one density."""
        if self.densities == 1:
            return self.tuning
        return jax.tree.map(lambda a: np.asarray(a[density]), self.tuning)

    def regroup(self, width: int) -> "Warmup":
        """Deal chains and scouts into groups of `width`."""
        groups, scouts = (tuple(regroup(own, width)) for own in (self.groups, self.scouts))
        return replace(self, groups=groups, scouts=scouts)


def read_windows(warmup: Warmup, records: RecordFormat) -> list[Draws]:
    """Return the window that was just made: of the chains, and of scouts if they took part."""
    made = [warmup.groups, warmup.scouts] if warmup.skipped_windows else [warmup.groups]
    return [records.unpack(join_records(groups)) for groups in made]


def end_window(
    engine: Engine, warmup: Warmup, window: Draws, scouted: Draws | None = None
) -> Warmup:
    """End a window of warm-up, at which all chains meet.

    Args:
        engine: The engine.
        warmup: Warm-up during the window.
        window: The draws of all chains in the window.
        scouted: The draws of all scouts in it, if they took part.
    """
    step = (
        _learn(engine, warmup, window)
        if scouted is None
        else after_scouting(engine, warmup, window, scouted)
    )
    made = [own.stats.get("n_steps") for own in (window, scouted) if own is not None]
    gradients = sum(int(steps.sum()) for steps in made if steps is not None)
    return replace(
        step,
        window=warmup.window + 1,
        draws=warmup.draws + warmup.windows[0],
        gradients=warmup.gradients + gradients,
        kept=None if warmup.kept is None else (*warmup.kept, without_gradients(window)),
        scouted=warmup.scouted if scouted is None else keep_newest(scouted),
    )


def without_gradients(draws: Draws) -> Draws:
    """Return draws without their gradients, which no result has."""
    return draws._replace(gradients=draws.gradients[..., :0].copy())


def begin_sampling(warmup: Warmup) -> Warmup:
    """Return what sampling needs of a warm-up that has no more windows."""
    return replace(warmup, recent=(), scouts=(), window=SAMPLING)


def after_scouting(engine: Engine, warmup: Warmup, window: Draws, scouted: Draws) -> Warmup:
    """End warm-up if no chain and no scout must be relocated; otherwise make skipped windows."""
    both, windows = pool(window, scouted, warmup.densities), warmup.skipped_windows
    recent = (both.draws,)
    end = _end_each(engine, warmup, recent, windows[-1:])
    if (end.relocation == np.arange(len(end.relocation))).all():
        return _learn(engine, warmup, window)
    relocation = both.number_as_chains(end.relocation)
    if (relocation < warmup.chains).all():
        # The metric has settled, so the windows before the last are made as one, and warm-up does
        # not end early after it.
        windows = sum(windows[:-1]), windows[-1]
        recent = (*warmup.recent[-1:], window)
        end = _end_each(engine, warmup, recent, windows)
    learned = replace(warmup, tuning=end.tuning, recent=recent, windows=windows, skipped_windows=())
    return _enter_window(learned, relocation, window, scouted)


def _learn(engine: Engine, warmup: Warmup, window: Draws) -> Warmup:
    """Learn from a window; if warm-up would end early, let scouts make the last window too."""
    planned, recent = warmup.windows[1:], (*warmup.recent[-1:], window)
    end = _end_each(engine, warmup, recent, planned)
    windows = _limit(warmup, end.windows)
    is_early = 0 < sum(windows) < sum(planned)
    skipped = planned if is_early and warmup.scouts else ()
    learned = replace(
        warmup, tuning=end.tuning, recent=recent, windows=windows, skipped_windows=skipped
    )
    return _enter_window(learned, end.relocation, window)


class _End(NamedTuple):
    """The end of a window for all densities together; see `WindowEnd`."""

    tuning: Tuning
    windows: tuple[int, ...]
    relocation: np.ndarray


def _end_each(
    engine: Engine, warmup: Warmup, recent: Sequence[Draws], windows: tuple[int, ...]
) -> _End:
    """Let the engine end a window for each density; use the longest schedule that any asks for."""
    count, stay = warmup.densities, np.arange(len(recent[-1].positions) // warmup.densities)
    if count == 1:
        end = engine.end_window(warmup.tuning, recent, windows)
        return _End(end.tuning, end.windows, stay if end.relocation is None else end.relocation)
    split = [jax.tree.map(lambda a: a.reshape(count, *stay.shape, *a.shape[1:]), w) for w in recent]
    tuning, each, moved = end_each(engine, warmup.tuning, split, windows)
    relocations = [i * len(stay) + (stay if own is None else own) for i, own in enumerate(moved)]
    return _End(tuning, max(each, key=len), np.concatenate(relocations))


def _limit(warmup: Warmup, windows: tuple[int, ...]) -> tuple[int, ...]:
    """Return the windows that the engine asks for, or the planned ones if those are too many."""
    planned = warmup.windows[1:]
    draws = warmup.draws + warmup.windows[0] + sum(windows)
    fits = sum(windows) <= sum(planned) or draws <= LONGEST_WARMUP * warmup.planned
    return windows if fits else planned


def _enter_window(warmup: Warmup, relocation: np.ndarray, *windows: Draws) -> Warmup:
    """Relocate chains and enter the next window; after a relocation, recent draws are dropped."""
    moves = list_moves(relocation, windows)
    groups = [group.enter() for group in relocate(warmup.groups, relocation, warmup.scouts)]
    # Chains and scouts take as many ticks to a block.
    pairs = zip(warmup.scouts, warmup.groups, strict=False)
    scouts = [replace(scout.enter(), limit=own.limit) for scout, own in pairs]
    return replace(
        warmup,
        groups=tuple(groups),
        scouts=tuple(scouts),
        moves=(*warmup.moves, *moves),
        recent=() if moves else warmup.recent,
    )


def list_moves(relocation: np.ndarray, windows: Sequence[Draws]) -> tuple[Move, ...]:
    """List the chains that continue from the state of another one.

    Args:
        relocation: For each chain the one that it continues from; scouts are numbered after the
            chains.
        windows: The window that was just made by the chains, and by scouts if there are any.
    """
    ends = np.concatenate([window.positions[:, -1] for window in windows])
    changed = np.flatnonzero(relocation != np.arange(len(relocation)))
    return tuple(Move(int(i), ends[i].copy(), ends[relocation[i]].copy()) for i in changed)


def stack_tunings(tunings: list[Tuning]) -> Tuning:
    """Stack the tunings of several densities along a leading axis; leave a single one as it is."""
    return tunings[0] if len(tunings) == 1 else jax.tree.map(lambda *a: np.stack(a), *tunings)


def split_by_dataset(draws: Draws, count: int) -> list[Draws]:
    """Split the draws of all chains into those of each density."""
    if count == 1:
        return [draws]
    parts = [np.split(a, count) for a in (draws.positions, draws.gradients)]
    stats = {name: np.split(a, count) for name, a in draws.stats.items()}
    own = ({name: a[i] for name, a in stats.items()} for i in range(count))
    return [Draws(*part) for part in zip(*parts, own, strict=True)]
