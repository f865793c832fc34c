"""A run warms up, makes draws, and can be stopped and resumed."""

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from ..counts import as_whole
from ..density.base import LogDensity
from ..density.family import Family
from ..density.points import Evaluate
from ..engines.base import Draws, Engine, Tuning
from ..errors import RunError
from ..numerics.blas import one_blas_thread
from ..programs.native import CompiledProgram, Refusal
from .alone import Unpickled, alone
from .blocks import compile_loop, find_format
from .collect import Group, collect, join_records
from .coordinates import move_to_density
from .devices import BRIEF, Plan
from .exchanging import collect_together
from .fingerprint import Fingerprint, fingerprint
from .loop import SAMPLING, RecordFormat
from .places import Places, make_caller
from .progress import Halted, Progress
from .self_check import check_first_draws, is_checked, leave_native_form
from .state import RunState, Timing
from .tuned import has_other_form, join_tuning
from .varying import end_window_of
from .warmup import Warmup, begin_sampling


@dataclass
class Run(Unpickled):
    """Chains of one engine on one density, or the same number of chains on each of several.

    Attributes:
        family: The log densities, each of which has the same number of chains.
        engine: The engine.
        plan: How the chains share the machine.
        warmup: What warm-up knows, and the chains. The end of a window replaces it by one
            assignment, so that an interrupt finds the run before or after.
        timing: How long each part took.
        why_not_native: Why there is no native form, if there is none.
        rewritten: Names of the primitives that were rewritten for the native form.
        reasons: Why this engine, one sentence each, if the run chose it.
        problems: What is known to be wrong before the first draw, for each density.
        progress: Whether to show progress; by default in a terminal or a notebook.
        evaluate: Evaluates points by the program that evaluated the starts; `None` if the run
            was resumed from a state.
        key: Key data of the run, shape (2,), from which all draws are derived.
        compilations: How often the program of the loop was compiled for this run; 0 if it was
            compiled before.
        model_fingerprint: A hash of the models and their numbers; empty if not computed yet.
        after_block: Called with the run after each block, by one thread at a time; if several
            processes have chains of their own, after each exchange.
        most_ahead: Draws by which a chain may be ahead of others; `None` sets no limit.
        program: The compiled loop; `None` if it is not needed yet.
        is_unchecked: Whether it is new, and its numbers are still to be compared with others.
        places: The data at each place of the plan, and what was done there.
    """

    family: Family
    engine: Engine
    plan: Plan
    warmup: Warmup
    timing: Timing = field(default_factory=Timing)
    why_not_native: str | None = None
    rewritten: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    problems: tuple[tuple[Any, ...], ...] = ()
    progress: bool | None = None
    evaluate: Evaluate | None = None
    key: np.ndarray | None = None
    compilations: int = 0
    model_fingerprint: str = ""
    after_block: Callable[["Run"], None] | None = None
    most_ahead: int | None = None
    program: CompiledProgram | None = None
    is_unchecked: bool = False
    places: Places = field(default_factory=Places)

    def __repr__(self) -> str:
        is_sampling = self.warmup.window == SAMPLING
        made = f"{self.fewest()} draws each" if is_sampling else "warming up"
        sets = f" of {self.family.count} models" if self.family.count > 1 else ""
        return f"Run({self.engine!r}, {self.chains} chains{sets}, {made})"

    @cached_property
    def density(self) -> LogDensity:
        """The log density; of several, the first."""
        return self.family.member(0)

    @property
    def chains(self) -> int:
        """Number of chains of all densities together."""
        return self.warmup.chains

    @property
    def groups(self) -> tuple[Group, ...]:
        """The chains, by program."""
        return self.warmup.groups

    @property
    def tuning(self) -> Tuning:
        """What warm-up has learned; for several densities, stacked along a leading axis."""
        return join_tuning(self.warmup.tuning, self.warmup.centering)

    @property
    def executed(self) -> int:
        """Number of gradients computed in the present window, including those of idle chains.

        The chains of a program tick together until the last of them has its draws.
        """
        return sum(int(group.executed.sum()) for group in self.groups)

    @property
    def state(self) -> RunState:
        """Everything that is needed to go on later; see `start(state=...)`."""
        groups, scouts = map(_copy_to_host, (self.warmup.groups, self.warmup.scouts))
        # Grouping makes new groups, which the run does not change when it goes on.
        warmup = replace(self.warmup, groups=groups, scouts=scouts).regroup(self.plan.chains)
        timing = replace(self.timing)
        return RunState(self._fingerprint, self.plan, warmup, timing, self.why_not_native, self.key)

    @cached_property
    def _fingerprint(self) -> Fingerprint:
        return fingerprint(self.family, self.engine)

    @alone
    def advance(self, draws: int, watch: Progress | None = None) -> "Run":
        """Finish warm-up, if it is not finished yet, and make `draws` more draws per chain.

        An interrupt keeps all draws made so far and is raised again; call `advance` again to go
        on from there.

        Args:
            draws: Number of draws per chain.
            watch: Notified after each block; by default made from `progress`.

        Raises:
            RunError: `draws` is not a whole number, or is negative; or another thread advances it.
            Halted: `watch` stopped the run; nothing is lost, as after an interrupt.
        """
        draws = as_whole("draws", draws, 0)
        with nullcontext(watch) if watch else Progress(self.progress) as bar:
            bar.later = draws
            self.warm_up(bar)
            if draws:
                self.collect(self.fewest() + draws, bar)
        return self

    @alone
    def warm_up(self, bar: Progress | None = None) -> "Run":
        """Make the remaining windows of warm-up; all chains meet at the end of each."""
        bar = bar or Progress(shown=False)
        while self.warmup.window != SAMPLING:
            if self.warmup.windows:
                self.collect(self.warmup.windows[0], bar)
                ended = end_window_of(self.engine, self.family, self.warmup, self.format)
                is_brief = self.plan.is_brief and ended.draws < BRIEF
                changes = has_other_form(ended.tuning, self.warmup.tuning)
                if changes or is_brief != self.plan.is_brief:
                    self.plan, self.program = self.plan._replace(is_brief=is_brief), None
                self.warmup = ended
            else:
                self.warmup = begin_sampling(self.warmup)
        return self

    def draws(self, gradients: bool = True, few: slice | None = None) -> Draws:
        """Return the draws made so far, the same number for every chain.

        A run with a store keeps only the last ones in memory; see `infer.open` for the others.
        Without `gradients`, those of the log density may be left out, as shape (..., 0). `few` are
        the densities, two at least, of which they are returned; by default all.

        Raises:
            RunError: Some chain has no draw yet.
        """
        is_sampling = self.warmup.window == SAMPLING
        fewest = self.fewest() if is_sampling else 0
        if not fewest:
            why = "no draws were requested" if is_sampling else "it is still warming up"
            raise RunError(
                "draws",
                f"the run has no draws from the posterior, because {why}",
                "Call advance(draws) with draws=1 or more.",
            )
        held = fewest - self.groups[0].dropped
        # What approximates stays in the coordinates in which it was fitted.
        centering = self.warmup.centering if self.engine.result == "draws" else None
        family, each = self.family, self.chains // self.family.count
        chains = slice(None) if few is None else slice(few.start * each, few.stop * each)
        if few is not None:
            family, centering = family.some(few), centering and centering.some(few)
        draws = self.format.unpack(join_records(self.groups, held, chains))
        draws = draws if gradients else draws._replace(gradients=draws.gradients[..., :0])
        return move_to_density(family, centering, draws)

    def fewest(self) -> int:
        """Return how many draws of the present window every chain has."""
        return min(int(group.drawn.min()) for group in self.groups)

    def collect(self, draws: int, bar: Progress) -> None:
        """Run blocks until every chain has `draws` draws in the present window."""
        if self.after_block and self.places.processes.are_apart:
            collect_together(self, draws, bar)
        else:
            self.run_blocks(draws, draws, bar)
            self.places.exchange(self.warmup)

    def run_blocks(self, draws: int, planned: int, bar: Progress) -> None:
        """Run blocks until the chains of this process have `draws` draws of those planned."""
        compiled = self.program or self._compile()
        if self.is_unchecked:
            check_first_draws(self, draws, bar)
            compiled = self.program or self._compile()
        # Compiling comes first, because it may regroup the chains.
        warmup, processes = self.warmup, self.places.processes
        groups = processes.choose(warmup.active)
        self.places.begin(warmup)
        call = make_caller(self.engine, self.family, warmup, self.plan, compiled, self.places)
        bar.enter(warmup, planned, self.plan.threads, self.format)
        began = time.perf_counter()

        def watch(group: Group, fresh: int, seconds: float) -> bool:
            goes_on = bar.update(group, fresh, seconds)
            # Only an exchange brings the draws of other processes.
            if self.after_block and not processes.are_apart:
                self.after_block(self)
            return goes_on

        # Threads of BLAS gain nothing beside those of other chains or of XLA, and wait for them.
        shares = (compiled.has_lapack_calls and len(groups) > 1) or self.groups[0].state.on_host
        try:
            with one_blas_thread() if shares else nullcontext():
                threads, far = self.plan.threads, self.most_ahead
                collect(groups, call, warmup.window, draws, threads, watch, far)
        finally:
            spent = time.perf_counter() - began
            self.timing.sampling += spent if warmup.window == SAMPLING else 0.0
            self.timing.warmup += 0.0 if warmup.window == SAMPLING else spent
        if any((group.drawn < draws).any() for group in groups):
            raise Halted

    @cached_property
    def format(self) -> RecordFormat:
        return find_format(self.engine, self.family, self.warmup)

    def _compile(self) -> CompiledProgram:
        """Compile the loop; if it has no native form, make another plan."""
        first, *_ = self.plan.places or ((),)
        made, is_new = compile_loop(self.engine, self.family, self.warmup, self.plan, first)
        if isinstance(made, Refusal):
            self.compilations += is_new
            leave_native_form(self, made.reason, made.has_lapack_calls)
            return self._compile()
        if is_new:
            self.compilations += not made.is_loaded
            self.timing.trace += made.trace_s
            self.timing.compile += made.compile_s
        self.program, self.rewritten = made, made.rewritten
        self.is_unchecked = is_new and made.is_native and not is_checked(made)
        return made


def _copy_to_host(groups: Sequence[Group]) -> tuple[Group, ...]:
    return tuple(replace(g, state=jax.tree.map(np.asarray, g.state)) for g in groups)
