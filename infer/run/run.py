"""A run is an object: it warms up, advances by draws, and can be stopped and taken up again."""

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from ..counts import whole
from ..density.base import LogDensity
from ..density.family import Family, nothing_of
from ..density.repeats import refuse_unless_reproduced
from ..density.start import Evaluate
from ..engines.base import Draws, Engine, Tuning
from ..errors import RunError
from ..numerics.blas import one_blas_thread
from ..programs.native import Program, Refusal, prepare, program
from .collect import Group, collect, placed, regrouped
from .devices import Plan, without_native
from .fingerprint import Fingerprint, fingerprint
from .loop import (
    SAMPLING,
    Block,
    Order,
    RecordFormat,
    TargetAndTuning,
    find_record_format,
    run_block,
)
from .moves import Move, moves_to
from .progress import Progress
from .scouts import pool

# Rows of all chains of a program, and of one chain: each block zeroes them, and the fewer blocks
# the better.
BUFFER_BYTES = 64 * 2**20
CHAIN_BYTES = 2 * 2**20
LARGEST_CAPACITY = 1024
# Draws of warm-up in those planned: an engine may ask for more.
LONGEST_WARMUP = 2


@dataclass
class Timing:
    """Seconds of wall time that each part of a run took; `compile` is what was waited for XLA.

    XLA compiles in a thread of its own while starts are sought, which counts as `starts`.
    """

    starts: float = 0.0
    trace: float = 0.0
    compile: float = 0.0
    warmup: float = 0.0
    sampling: float = 0.0


class RunState(NamedTuple):
    """All that a stopped run needs to go on, bit for bit; every array is on the host.

    Attributes:
        made_for: Engine, sites, program and data; others are refused.
        groups: The chains, with their keys, states and the records of the present window.
        plan: How the chains share the machine.
        tuning: In use.
        windows: Warm-up windows still to come, the present one first.
        window: Number of the present window; 0 in sampling.
        recent: Draws of the last windows.
        warmup: Warm-up draws per chain that were planned.
        timing: Where the time went.
        why_not_native: The reason, where there is no native form.
        warmed: Warm-up draws per chain that were made.
        warmup_gradients: Gradients that warm-up took.
        moves: Chains that warm-up moved away from where next to nothing of the posterior is.
        scouts: Chains at other starts, until they have looked around from there.
        left_out: Windows that an early end leaves out; only while scouts are at work.
    """

    made_for: Fingerprint
    groups: tuple[Group, ...]
    plan: Plan
    tuning: Tuning
    windows: tuple[int, ...]
    window: int
    recent: tuple[Draws, ...]
    warmup: int
    timing: Timing
    why_not_native: str | None
    warmed: int
    warmup_gradients: int
    moves: tuple[Move, ...]
    scouts: tuple[Group, ...]
    left_out: tuple[int, ...]


class _WindowEnd(NamedTuple):
    """The end of a window, of all densities together; see `WindowEnd`."""

    tuning: Tuning
    windows: tuple[int, ...]
    relocation: np.ndarray


@dataclass
class Run:
    """Chains of one engine on one density, or equally many on each of several.

    Attributes:
        family: The log densities, of which each has equally many chains.
        engine: The engine.
        plan: How the chains share the machine.
        tuning: What warm-up has learned so far; of several densities, along a leading axis.
        warmup: Draws of warm-up per chain that were planned.
        timing: Where the time went.
        why_not_native: The reason, where there is no native form.
        rewritten: Names of the primitives that were rewritten to make it native.
        warmed: Draws of warm-up per chain that were made; fewer, where warm-up ended early.
        warmup_gradients: Gradients that warm-up took, where the engine counts them.
        moves: Chains that warm-up moved away from where next to nothing of the posterior is.
        scouts: As many chains at other starts, which look around there while warm-up ends early.
        left_out: Windows that an early end leaves out; only while scouts are at work.
        reasons: Why this engine, a sentence each, where the run chose it.
        evaluate: Evaluates points by the program that evaluated the starts; `None` if the run
            goes on from a state.
    """

    family: Family
    engine: Engine
    plan: Plan
    tuning: Tuning
    groups: list[Group]
    windows: tuple[int, ...]
    warmup: int
    window: int = 1
    recent: tuple[Draws, ...] = ()
    why_not_native: str | None = None
    timing: Timing = field(default_factory=Timing)
    progress: bool | None = None
    rewritten: tuple[str, ...] = ()
    warmed: int = 0
    warmup_gradients: int = 0
    moves: tuple[Move, ...] = ()
    scouts: list[Group] = field(default_factory=list)
    left_out: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    evaluate: Evaluate | None = None

    def __repr__(self) -> str:
        made = f"{self.fewest()} draws each" if self.window == SAMPLING else "warming up"
        sets = f" of {self.family.count} models" if self.family.count > 1 else ""
        return f"Run({self.engine!r}, {self.chains} chains{sets}, {made})"

    @cached_property
    def density(self) -> LogDensity:
        """The log density; of several, the first."""
        return self.family.member(0)

    @property
    def chains(self) -> int:
        """Number of chains, of all densities together."""
        return len(self.groups) * self.plan.width

    @property
    def sent(self) -> tuple[int, ...]:
        """Chains that warm-up moved, in order; `moves` says from where to where."""
        return tuple(sorted({move.chain for move in self.moves}))

    @property
    def executed(self) -> int:
        """Gradients that the present window took, with those of chains that had no more to do.

        Chains of one program tick together until the last of them has its draws.
        """
        return sum(int(group.executed.sum()) for group in self.groups)

    @property
    def state(self) -> RunState:
        """All that is needed to go on later; see `start(state=...)`."""
        return RunState(
            self._fingerprint,
            self._copied(self.groups),
            self.plan,
            self.tuning,
            self.windows,
            self.window,
            self.recent,
            self.warmup,
            replace(self.timing),
            self.why_not_native,
            self.warmed,
            self.warmup_gradients,
            self.moves,
            self._copied(self.scouts),
            self.left_out,
        )

    @cached_property
    def _fingerprint(self) -> Fingerprint:
        return fingerprint(self.family, self.engine)

    def _copied(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """Deal chains anew on the host, so that the run going on changes nothing there."""
        host = [replace(g, state=jax.tree.map(np.asarray, g.state)) for g in groups]
        return tuple(regrouped(host, self.plan.width))

    def advance(self, draws: int) -> "Run":
        """Warm up, if that is still to be done, and make `draws` more draws per chain.

        An interrupt keeps every draw made so far: it is raised again, and `advance` goes on
        from there.

        Raises:
            RunError: `draws` is no whole number, or negative.
        """
        draws = whole("draws", draws, 0)
        left = sum(self.windows) + draws
        with Progress(left * self.chains, self.progress) as bar:
            self.warm_up(bar)
            # Warm-up may have ended early, or late.
            bar.phase("sampling", draws * self.chains)
            wanted = self.fewest() + draws
            if draws:
                self._collect(SAMPLING, wanted, bar)
        return self

    def warm_up(self, bar: Progress | None = None) -> "Run":
        """Run the windows of warm-up that are still to come; at each end all chains meet."""
        bar = bar or Progress(0, shown=False)
        bar.phase("warm-up")
        while self.window != SAMPLING:
            if self.windows:
                self._collect(self.window, self.windows[0], bar)
                self._meet()
            else:
                self.recent, self.scouts, self.window = (), [], SAMPLING
        return self

    def draws(self) -> Draws:
        """Return the draws made so far, equally many for every chain.

        Raises:
            RunError: Some chain has no draw yet.
        """
        fewest = self.fewest() if self.window == SAMPLING else 0
        if not fewest:
            why = "no draw was asked for" if self.window == SAMPLING else "it is still warming up"
            raise RunError(
                "draws",
                f"the run has no draw of the posterior, since {why}",
                "Call advance(draws), with one draw or more.",
            )
        return self._format.unpack(self._records(fewest))

    def refuse_unless_reproduced(self) -> None:
        """Check that the programs of starts and chains speak of one density; see `repeats.py`.

        Raises:
            ModelError: The model says something else whenever it runs.
        """
        if self.evaluate is None or self.density.minibatches or not self.fewest():
            return
        newest = [_newest(own) for group in self.groups for own in group.rows]
        draws = self._format.unpack(np.stack(newest))
        positions = draws.positions[:, 0]
        if "lp" in draws.stats and positions.shape[1] == self.density.size:
            lp = draws.stats["lp"][:, 0]
            refuse_unless_reproduced(self.family, positions, lp, self.evaluate)

    def fewest(self) -> int:
        """Count the draws of the present window that every chain has."""
        return min(int(group.drawn.min()) for group in self.groups)

    def _records(self, count: int) -> np.ndarray:
        return np.stack([own[:count] for group in self.groups for own in group.records()])

    def _window(self, groups: Sequence[Group]) -> Draws:
        return self._format.unpack(np.stack([own for group in groups for own in group.records()]))

    def _meet(self) -> None:
        """Let all chains meet at the end of a window of warm-up."""
        window = self._window(self.groups)
        scouted = self._window(self.scouts) if self.left_out else None
        taken = [w.stats["n_steps"].sum() for w in (window, scouted) if w and "n_steps" in w.stats]
        # All at once, so that an interrupt finds the run before or after.
        self.__dict__.update({
            "window": self.window + 1, "warmed": self.warmed + self.windows[0],
            "warmup_gradients": self.warmup_gradients + int(sum(taken)),
            **(self._looked_around(window, scouted) if scouted else self._learned(window)),
        })  # fmt: skip

    def _learned(self, window: Draws) -> dict[str, Any]:
        """Learn from a window; where warm-up will end early, scouts look around meanwhile."""
        planned, recent = self.windows[1:], (*self.recent[-1:], window)
        end = self._ended(recent, planned)
        windows = self._limited(end.windows)
        early = 0 < sum(windows) < sum(planned)
        return {
            "tuning": end.tuning, "recent": recent, "windows": windows,
            "left_out": planned if early and self.scouts else (),
            **self._moved(end.relocation, window),
        }  # fmt: skip

    def _looked_around(self, window: Draws, scouted: Draws) -> dict[str, Any]:
        """End warm-up if all scouts came to where the chains are; go where they found more."""
        both, windows = pool(window, scouted, self.family.count), self.left_out
        recent, end = (both.draws,), self._ended((both.draws,), windows[-1:])
        if (end.relocation == np.arange(len(end.relocation))).all():
            return self._learned(window)
        own = both.numbered(end.relocation)
        if (own < self.chains).all():
            # The metric has settled, so that one window does, at whose end none ends early.
            windows = sum(windows[:-1]), windows[-1]
            recent = (*self.recent[-1:], window)
            end = self._ended(recent, windows)
        return {
            "tuning": end.tuning, "recent": recent, "windows": windows, "left_out": (),
            **self._moved(own, window, scouted),
        }  # fmt: skip

    def _moved(self, places: np.ndarray, *windows: Draws) -> dict[str, Any]:
        """Move chains to their places; what those that move have drawn is forgotten."""
        moves = moves_to(places, windows)
        scouts = zip(self.scouts, self.groups, strict=False)
        moved = {
            "groups": [group.entered() for group in placed(self.groups, places, self.scouts)],
            # How many ticks fill a block is known by now.
            "scouts": [replace(scout.entered(), limit=own.limit) for scout, own in scouts],
            "moves": (*self.moves, *moves),
        }
        return moved | ({"recent": ()} if moves else {})

    def _ended(self, recent: tuple[Draws, ...], windows: tuple[int, ...]) -> _WindowEnd:
        """Let the engine end a window of each density; go on as the one that needs most does."""
        pairs = zip(self.tunings(), self._apart(recent), strict=True)
        ends = [self.engine.end_window(tuning, own, windows) for tuning, own in pairs]
        chains = len(recent[-1].positions) // len(ends)
        relocations = [
            i * chains + (np.arange(chains) if end.relocation is None else end.relocation)
            for i, end in enumerate(ends)
        ]
        return _WindowEnd(
            joined([end.tuning for end in ends]),
            max((end.windows for end in ends), key=len),
            np.concatenate(relocations),
        )

    def _apart(self, recent: tuple[Draws, ...]) -> list[tuple[Draws, ...]]:
        """Part windows into those of each density."""
        return list(zip(*(_parted(window, self.family.count) for window in recent), strict=True))

    def _limited(self, windows: tuple[int, ...]) -> tuple[int, ...]:
        """Take the windows that the engine asks for, up to a limit, or else those planned."""
        planned = self.windows[1:]
        draws = self.warmed + self.windows[0] + sum(windows)
        fits = sum(windows) <= sum(planned) or draws <= LONGEST_WARMUP * self.warmup
        return windows if fits else planned

    def tunings(self) -> list[Tuning]:
        """List the tuning of each density."""
        count = self.family.count
        if count == 1:
            return [self.tuning]
        return [jax.tree.map(lambda a, i=i: np.asarray(a[i]), self.tuning) for i in range(count)]

    def _shared(self) -> TargetAndTuning:
        several = self.family.count > 1
        return TargetAndTuning(
            self.family.shared, nothing_of(self.tuning) if several else self.tuning
        )

    def _own(self, group: Group) -> TargetAndTuning:
        """Take what the chains of a group do not share with all others."""
        if self.family.count == 1:
            return TargetAndTuning(self.family.own, nothing_of(self.tuning))
        members = np.asarray(group.chains) // (self.chains // self.family.count)
        tuning = jax.tree.map(lambda a: a[members], self.tuning)
        return TargetAndTuning(self.family.rows(members), tuning)

    @cached_property
    def _format(self) -> RecordFormat:
        tuning = self.tunings()[0]
        return find_record_format(self.engine, self.density, tuning, self.groups[0].state)

    def _collect(self, window: int, draws: int, bar: Progress) -> None:
        records, compiled = self._format, self._compiled
        shared = self._shared()
        groups = [*self.groups, *self.scouts] if self.left_out else self.groups
        began = time.perf_counter()

        def call(group: Group, order: Order) -> Block:
            return compiled.call(shared, self._own(group), group.state, order)

        def watch(group: Group, fresh: int) -> None:
            if bar.shown or bar.logged:
                bar.advance(fresh, _divergences(group, records))

        # LAPACK's own threads gain nothing beside those of other chains, and wait for them.
        shares_cores = compiled.lapack and len(groups) > 1
        try:
            with one_blas_thread() if shares_cores else nullcontext():
                collect(groups, call, window, draws, self.plan.threads, watch)
        finally:
            spent = time.perf_counter() - began
            self.timing.sampling += spent if window == SAMPLING else 0.0
            self.timing.warmup += 0.0 if window == SAMPLING else spent

    def prepare(self) -> "Run":
        """Begin to compile the loop; of all that the run holds, only shapes matter."""
        prepare(run_block, *self._made_for(self._format.record), self.plan.form)
        return self

    def _made_for(self, record: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        group, capacity = self.groups[0], _capacity(record, self.plan.width)
        order = group.order(0, 0)
        arguments = (self._shared(), self._own(group), group.state, order)
        return (self.engine, capacity, record), arguments

    @cached_property
    def _compiled(self) -> Program:
        return self._program(self._format.record)

    def _program(self, record: int) -> Program:
        """Compile the loop; where there is no native form, make another plan."""
        made, new = program(run_block, *self._made_for(record), self.plan.form)
        if isinstance(made, Refusal):
            self.why_not_native = made.reason
            self._regroup(without_native(self.chains, self.plan, made.lapack))
            return self._program(record)
        if new:
            self.timing.trace += made.trace_s
            self.timing.compile += made.compile_s
        self.rewritten = made.rewritten
        return made

    def _regroup(self, new: Plan) -> None:
        self.plan, self.groups = new, regrouped(self.groups, new.width)
        self.scouts = regrouped(self.scouts, new.width)


def _capacity(record: int, width: int) -> int:
    """Rows that fit the buffer: a power of two, so that few programs differ in it."""
    rows = min(BUFFER_BYTES // width, CHAIN_BYTES) // (8 * record)
    return int(np.clip(2 ** int(np.log2(max(rows, 1))), 1, LARGEST_CAPACITY))


def _divergences(group: Group, records: RecordFormat) -> int:
    newest = [own[-1] for own in group.rows if own]
    stats = [records.unpack(rows[None]).stats.get("diverging") for rows in newest]
    return sum(int(s.sum()) for s in stats if s is not None)


def _newest(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Return the last record of a chain, shape (1, record)."""
    return next(block[-1:] for block in reversed(blocks) if len(block))


def joined(tunings: list[Tuning]) -> Tuning:
    """Join the tunings of several densities along a leading axis; leave that of one."""
    return tunings[0] if len(tunings) == 1 else jax.tree.map(lambda *a: np.stack(a), *tunings)


def _parted(draws: Draws, count: int) -> list[Draws]:
    """Part draws into those of each density."""
    if count == 1:
        return [draws]
    parts = [np.split(a, count) for a in (draws.positions, draws.gradients)]
    stats = {name: np.split(a, count) for name, a in draws.stats.items()}
    own = ({name: a[i] for name, a in stats.items()} for i in range(count))
    return [Draws(*part) for part in zip(*parts, own, strict=True)]
