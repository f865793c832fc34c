"""Sample in the background: a handle looks at a run while a thread advances it."""

import weakref
from numbers import Real
from typing import Any

from ..calls import check_arguments
from ..counts import as_whole
from ..errors import RunError
from ..run.run import Run
from ..run.views import Page, write_time_left
from .advance.goal import FixedGoal
from .advance.interrupt import count_made
from .advance.worker import State, Worker
from .data.arviz import to_arviz
from .data.origin import refuse_unless_run
from .judge.until import Until
from .kinds import refuse_unless_sampler
from .result import make_result
from .until_goal import choose_goal


@check_arguments("infer.sample_in_background")
def sample_in_background(
    run: Run, draws: int | None = None, *, until: Until | None = None
) -> "BackgroundRun":
    """Let a thread advance a run, and return at once.

    Args:
        run: What `infer.start` returned. Only the handle may use it until the thread has ended.
        draws: Number of further draws per chain; by default 1000.
        until: A target and a budget, in place of `draws`; see `sample`.

    Returns:
        A handle, which looks at the run, pauses, extends and stops it.

    Raises:
        RunError: `run` is not a run, or the numbers make no sense.
        EngineError: Its engine is not a sampler.
    """
    refuse_unless_run(run)
    refuse_unless_sampler(run.engine)
    if run.places.processes.count > 1:
        found = "several processes share it, and a handle would stop it at other times on each"
        raise RunError("run", found, "Call run.advance(draws) on all of them.")
    goal = choose_goal(draws, until, run.chains // run.family.count)
    if isinstance(goal, FixedGoal):
        goal = FixedGoal(count_made(run) + goal.draws)
    return BackgroundRun(Worker(run, goal))


def is_number(given: Any) -> bool:
    """Return whether a value is one real number."""
    return isinstance(given, Real) and not isinstance(given, bool)


class BackgroundRun:
    """A handle on a run that a thread advances; see `sample_in_background`.

    An error in the thread is raised by the next call of any method, and logged. When the handle is
    deleted, the thread ends after the blocks in flight, as it does when Python exits. Ctrl-C
    interrupts the caller alone.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        weakref.finalize(self, worker.abandon)
        with worker.changed:
            worker.start()

    def __repr__(self) -> str:
        return f"BackgroundRun({self._describe()!r})"

    def _repr_html_(self) -> str:
        return self._describe()._repr_html_()

    def __reduce__(self) -> str:
        raise RunError(
            "handle",
            "a handle cannot be copied or stored, since it belongs to a thread",
            "Store the state of its run after pause(): handle.run.state.",
        )

    def _describe(self) -> Page:
        status, rest = self._worker.status, ""
        if self.state == "running":
            rest = write_time_left(status)
        return Page(status, ", ".join(filter(None, (self.state, rest))))

    @property
    def run(self) -> Run:
        """The run; to be used only while there is no thread: paused, finished or stopped."""
        return self._worker.run

    @property
    def state(self) -> State:
        """One of "running", "paused", "finished", "stopped" and "failed"."""
        return self._worker.state

    def pause(self) -> "BackgroundRun":
        """Stop between two blocks, which takes about 0.25 s; nothing is lost."""
        self._raise_error()
        self._worker.halt("paused")
        self._raise_error()
        return self

    def resume(self) -> "BackgroundRun":
        """Go on after a pause, with the same draws as without it."""
        self._raise_error()
        self._refuse_if_stopped()
        with self._worker.changed:
            if self.state == "paused":
                self._worker.start()
        return self

    def inspect(self) -> Any:
        """Return the draws so far as ArviZ data, while the thread goes on.

        Raises:
            RunError: The run is still warming up.
        """
        self._raise_error()
        warmup = self.run.warmup
        if not count_made(self.run):
            raise RunError(
                "draws",
                f"the run has none yet: it is in warm-up, after {warmup.draws} of up to "
                f"{warmup.draws + sum(warmup.windows)} draws per chain",
                "Call inspect() again later.",
            )
        return to_arviz(self.run)

    def extend(self, draws: int) -> "BackgroundRun":
        """Ask for more draws per chain, whether or not those asked for are made.

        Raises:
            RunError: The run was stopped, or samples until a target that it has not reached yet.
        """
        draws = as_whole("draws", draws, 1)
        self._raise_error()
        self._refuse_if_stopped()
        with self._worker.changed:
            self._worker.goal = FixedGoal(self._count_wanted() + draws)
            if self.state == "finished":
                self._worker.start()
        return self

    def _count_wanted(self) -> int:
        goal = self._worker.goal
        if isinstance(goal, FixedGoal):
            return goal.draws
        if self.state != "finished":
            raise RunError(
                "draws",
                "the run samples until a target that it has not reached",
                "Wait for it, or stop it and begin another with a larger budget in Until.",
            )
        return count_made(self.run)

    def stop(self) -> "BackgroundRun":
        """Stop for good between two blocks; `wait` and `inspect` return the draws so far.

        The run itself can still go on: `handle.run.advance(draws)`.
        """
        self._raise_error()
        self._worker.halt("stopped")
        self._raise_error()
        return self

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until the run has finished; return what `infer.sample` would have.

        Args:
            timeout: Maximum number of seconds to wait; None waits as long as it takes.

        Raises:
            TimeoutError: The run has not finished; it goes on.
            RunError: It is paused, or the timeout is not a number.
        """
        if timeout is not None and not (is_number(timeout) and timeout >= 0):
            raise RunError("timeout", f"{timeout!r} was given", "Give seconds, or None.")
        if not self._worker.join(timeout):
            raise TimeoutError(f"not finished after {timeout:g} s: {self!r}")
        self._raise_error()
        if self.state == "paused":
            raise RunError(
                "wait", "the run is paused, so it never finishes", "Call resume(), or inspect()."
            )
        return make_result(self.run, self._worker.goal)

    def _refuse_if_stopped(self) -> None:
        if self.state == "stopped":
            raise RunError(
                "run",
                "it was stopped for good",
                "Begin again: infer.sample_in_background(handle.run, draws).",
            )

    def _raise_error(self) -> None:
        if self._worker.error is not None:
            raise self._worker.error
