"""The thread that advances a run in the background, and what it shares with the handle."""

import logging
import sys
from threading import TIMEOUT_MAX, Condition, Thread
from time import monotonic
from typing import Literal

from ...run.alone import claim, refuse_if_claimed, release
from ...run.progress import Progress
from ...run.run import Run
from ...run.status import Status
from ...run.views import is_notebook
from .goal import Goal, pursue

# A stretch of blocks takes this long. After each one the thread finds out whether the interpreter
# is about to exit, because it can then begin no other.
STRETCH_SECONDS = 1.0
_log = logging.getLogger("infer")

State = Literal["running", "paused", "finished", "stopped", "failed"]


class Worker:
    """Advances a run towards a goal in a thread, which exists only while it has work.

    Attributes:
        run: The run.
        goal: What it is to reach; may be replaced while the lock is held.
        state: What the thread does, or why there is none.
        error: What went wrong in the thread.
        status: What the chains have done since the thread began.
        changed: The lock of all this; notified when the thread ends.
        thread: The thread, if there is one.
    """

    def __init__(self, run: Run, goal: Goal) -> None:
        self.run, self.goal, self.changed = run, goal, Condition()
        self.state: State = "paused"
        self.error: BaseException | None = None
        self.status, self.thread = Status(), None
        self._stretch_end = 0.0

    def start(self) -> None:
        """Begin or go on to work; the lock is held.

        Raises:
            RunError: Another thread advances the run.
        """
        if self.thread is None:
            refuse_if_claimed(self.run)
        self.state = "running"
        if self.thread is None:
            self.thread = Thread(target=self._work, name="infer.sample_in_background")
            self.thread.start()

    def halt(self, state: State) -> None:
        """Let the blocks in flight be finished, and return when the thread has ended."""
        with self.changed:
            if self.state in ("running", "paused") or state == "stopped":
                self.state = state
        self.join(None)

    def abandon(self) -> None:
        """Let the thread end after the blocks in flight; takes no lock and waits for nothing."""
        self.state = "stopped"

    def join(self, timeout: float | None) -> bool:
        """Wait until there is no thread; return whether that is so."""
        with self.changed:
            limit = None if timeout is None else min(timeout, TIMEOUT_MAX)
            return self.changed.wait_for(lambda: self.thread is None, limit)

    def _work(self) -> None:
        try:
            claim(self.run)
            with Progress(_choose_view(self.run), self._must_halt) as watch:
                self.status = watch.status
                while self._pursue(watch):
                    pass
        except BaseException as error:
            self._fail(error)

    def _pursue(self, watch: Progress) -> bool:
        """Pursue the goal; return whether there is more to do."""
        goal = self.goal
        is_done = pursue(self.run, goal, watch, self._is_halted)
        with self.changed:
            if self.state == "running" and not (is_done and self.goal is goal):
                return True
            self._end("finished" if self.state == "running" else self.state)
            return False

    def _fail(self, error: BaseException) -> None:
        # No stretch can begin while the interpreter exits; that is how the thread ends then.
        if "cannot schedule new futures" not in str(error):
            _log.error("the run in the background failed: %s: %s", type(error).__name__, error)
        with self.changed:
            self.error = error
            self._end("failed")

    def _end(self, state: State) -> None:
        release(self.run)
        self.state, self.thread = state, None
        self.changed.notify_all()

    def _must_halt(self) -> bool:
        is_over = monotonic() >= self._stretch_end or self.goal.must_halt()
        return self.state != "running" or is_over

    def _is_halted(self) -> bool:
        """Return whether to begin no other stretch; if not, one begins now."""
        self._stretch_end = monotonic() + STRETCH_SECONDS
        return self.state != "running"


def _choose_view(run: Run) -> bool | None:
    """Show no bar by default in a terminal, where somebody may be typing."""
    is_shell = run.progress is None and sys.stderr.isatty() and not is_notebook()
    return False if is_shell else run.progress
