"""What the chains of a run have done so far, and how long the rest may take."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from .collect import Group
from .loop import SAMPLING, RecordFormat
from .warmup import Warmup

# With more chains, the table has a line for their median and one for the worst of them.
MOST_LINES = 8
# What warm-up and what comes after it are called, by what is counted.
PHASES = {
    "draws": ("warm-up", "sampling"),
    "searches": ("searching", "searching"),
    "points": ("searching", "searching"),
    "epochs": ("fitting", "averaging"),
}
# The cost of a draw in the windows before the present one counts this much: the metric changes.
MEMORY = 0.25


class Cost(NamedTuple):
    """Seconds that a group of chains took, and draws that each of its chains made in that time."""

    seconds: float = 0.0
    draws: float = 0.0

    def add(self, seconds: float, draws: float) -> "Cost":
        """Return the cost with that of another block."""
        return Cost(self.seconds + seconds, self.draws + draws)

    def fade(self) -> "Cost":
        """Return the cost as it counts in later windows."""
        return Cost(MEMORY * self.seconds, MEMORY * self.draws)


class Column(NamedTuple):
    """One column of the table of chains.

    Attributes:
        title: What the numbers are.
        form: How a number is written.
        worst: Chooses the worst of several numbers.
        numbers: One for each chain.
    """

    title: str
    form: str
    worst: np.ufunc
    numbers: np.ndarray


class Status:
    """Counts of each chain in the present phase, which is warm-up or sampling.

    Attributes:
        unit: What is counted: "draws"; or "searches" for modes, "points" of paths or "epochs" of a
            fit, each of which is called a draw in the rest of this class.
        phase: "starting", or one of `PHASES`.
        draws: Draws of each chain, shape (chains,).
        planned: Draws that each chain is to have at the end of the phase.
        before: Draws per chain that were made before the phase.
        later: Draws per chain that are planned after the phase.
        divergences: Divergent transitions of each chain, shape (chains,).
        steps: Leapfrog steps of each chain, or steps of its search so far, shape (chains,).
        counted: Draws of each chain that these two counts are of, shape (chains,).
        step_size: Latest step size of each chain, shape (chains,); NaN if it is not known.
        names: Statistics that the engine reports.
    """

    def __init__(self, unit: str = "draws") -> None:
        self.unit = unit
        self.phase, self.planned, self.before, self.later, self._window = "starting", 0, 0, 0, -1
        self.names: frozenset[str] = frozenset()
        self._start_counts(0)
        self._costs: dict[int, Cost] = {}
        self._active: tuple[Group, ...] = ()
        self._target = self._threads = 1

    def _start_counts(self, chains: int) -> None:
        self.draws, self.divergences, self.steps, self.counted = np.zeros((4, chains), int)
        self.step_size = np.full(chains, np.nan)

    def enter(
        self, warmup: Warmup, target: int, later: int, threads: int, records: RecordFormat
    ) -> None:
        """Begin a window, or go on with it.

        Args:
            warmup: The chains, and which windows are planned.
            target: Draws that each chain is to have in this window.
            later: Draws per chain that are planned after warm-up.
            threads: Number of blocks in flight.
            records: Layout of the records.
        """
        is_sampling = warmup.window == SAMPLING
        phase = PHASES[self.unit][is_sampling]
        self._active, self._target, self._threads = warmup.active, target, threads
        self.planned = target if is_sampling else warmup.draws + sum(warmup.windows)
        self.before, self.later = (warmup.draws, 0) if is_sampling else (0, later)
        self.names = frozenset(records.dtypes)
        self._own = {id(group): group for group in warmup.groups}
        self._base = 0 if is_sampling else warmup.draws
        if warmup.window != self._window:
            self._costs = {key: cost.fade() for key, cost in self._costs.items()}
            self._window = warmup.window
        if phase != self.phase:
            self.phase = phase
            self._start_counts(warmup.chains)
            for group in warmup.groups:
                self._count(group, records, slice(None))
        for group in warmup.groups:
            self.draws[_rows(group)] = self._base + group.drawn

    def update(self, group: Group, fresh: int, seconds: float, records: RecordFormat) -> None:
        """Count a block that a group has just finished.

        Args:
            group: The chains.
            fresh: Draws of all its chains in the block.
            seconds: How long the block took.
            records: Layout of the records.
        """
        key = self._key(group)
        self._costs[key] = self._costs.get(key, Cost()).add(seconds, fresh / len(group.chains))
        if id(group) in self._own:
            self.draws[_rows(group)] = self._base + group.drawn
            self._count(group, records, slice(-1, None))

    def _count(self, group: Group, records: RecordFormat, blocks: slice) -> None:
        """Count divergences and leapfrog steps in some blocks of each chain of a group."""
        if self.unit == "searches":
            self.steps[_rows(group)] = jax.tree.map(np.asarray, group.state).unpack().n_steps
            return
        for chain, own in zip(group.chains, group.rows, strict=True):
            for rows in own[blocks]:
                stats = records.unpack(rows[None]).stats
                self.counted[chain] += len(rows)
                self.divergences[chain] += int(stats.get("diverging", _NONE).sum())
                self.steps[chain] += int(stats.get("n_steps", _NONE).sum())
                if len(rows) and "step_size" in stats:
                    self.step_size[chain] = stats["step_size"][0, -1]

    def _key(self, group: Group) -> int:
        """Number the groups of chains from 0 up, and those of scouts from -1 down."""
        return group.chains.start if id(group) in self._own else -1 - group.chains.start

    @property
    def made(self) -> int:
        """Draws of all chains, warm-up included."""
        return int(self.draws.sum()) + self.before * len(self.draws)

    @property
    def total(self) -> int:
        """Draws of all chains at the end of the run, warm-up included."""
        return (self.before + self.planned + self.later) * len(self.draws)

    @property
    def is_shrinkable(self) -> bool:
        """Whether warm-up may still end earlier than planned."""
        return self._window != SAMPLING and self.planned > self._horizon

    @property
    def _horizon(self) -> int:
        return self._base + self._target

    def seconds_left(self) -> float | None:
        """Estimate the wall time until all planned draws are made; None if it is not known yet.

        A draw is taken to cost what recent draws of the same chain did. Groups share the threads,
        and none can be on two of them, so the time is at least that of the slowest group.
        """
        known = [cost.seconds / cost.draws for cost in self._costs.values() if cost.draws]
        if not known:
            return None
        rest = max(self.planned - self._horizon, 0) + self.later
        work = [self._work(group, rest, float(np.mean(known))) for group in self._active]
        return max(sum(work) / self._threads, *work)

    def _work(self, group: Group, rest: int, typical: float) -> float:
        """Return the seconds of work that a group has left; scouts make only one window."""
        cost = self._costs.get(self._key(group), Cost())
        each = cost.seconds / cost.draws if cost.draws else typical
        left = max(self._target - int(group.drawn.min()), 0)
        return each * (left + rest * (id(group) in self._own))

    def columns(self) -> list[Column]:
        """List what there is to say about each chain."""
        counted = np.where(self.counted, self.counted, np.nan)
        if self.unit == "searches":
            return [Column("steps", ".0f", np.maximum, self.steps)]
        found = [Column(self.unit, ".0f", np.minimum, self.draws)]
        if "diverging" in self.names:
            found += [Column("divergences", ".0f", np.maximum, self.divergences)]
        if "step_size" in self.names:
            found += [Column("step size", ".3g", np.fmin, self.step_size)]
        if "n_steps" in self.names:
            found += [Column("leapfrogs a draw", ".1f", np.fmax, self.steps / counted)]
        return found

    def table(self) -> list[list[str]]:
        """Make the table of chains: a line of titles, then one for each chain or for all."""
        columns, count = self.columns(), len(self.draws)
        titles = ["chain", *(column.title for column in columns)]
        if count <= MOST_LINES:
            rows = [[str(i), *(_write(c, c.numbers[i]) for c in columns)] for i in range(count)]
            return [titles, *rows]
        median = [_write(c, np.median(c.numbers)) for c in columns]
        worst = [_write(c, c.worst.reduce(c.numbers)) for c in columns]
        return [titles, [f"median of {count}", *median], ["worst", *worst]]


_NONE = np.zeros((1, 0))


def _rows(group: Group) -> slice:
    return slice(group.chains.start, group.chains.stop)


def _write(column: Column, number: float | np.generic) -> str:
    return format(float(number), column.form) if np.isfinite(number) else "-"


def align(table: Sequence[Sequence[str]]) -> list[str]:
    """Write a table as lines of text, with columns aligned on the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(t.rjust(w) for t, w in zip(row, widths, strict=True)) for row in table]


def format_interval(seconds: float) -> str:
    """Write a time as minutes and seconds, "04:05", from an hour on with hours, "1:04:05"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}:' if hours else ''}{minutes:02}:{rest:02}"
