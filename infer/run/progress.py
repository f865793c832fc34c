"""Count and show what a run does between blocks, and stop it there: programs have no callback."""

import time
from collections.abc import Callable
from types import TracebackType

from .collect import Group
from .loop import RecordFormat
from .status import Status, format_interval
from .views import choose_view
from .warmup import Warmup


class Halted(Exception):  # noqa: N818
    """The run stopped between two blocks, because it was told to; it can go on."""


class Progress:
    """What a run reports after each block, the view that shows it, and whether to go on.

    Args:
        shown: Whether to show a view. By default it is shown in a terminal or a notebook;
            otherwise the logger "infer" gets a line at level INFO at the beginning of each
            phase, and one every 5 s at most.
        halt: Called after each block; the run stops there if it returns True.
        unit: What is counted; see `Status`.

    Attributes:
        status: What the chains have done so far.
        later: Draws per chain that are planned after warm-up.
    """

    def __init__(
        self, shown: bool | None = None, halt: Callable[[], bool] = lambda: False,
        unit: str = "draws",
    ) -> None:  # fmt: skip
        self.status, self.later = Status(unit), 0
        self._view, self._halt = choose_view(shown), halt
        self._began = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        took = format_interval(time.monotonic() - self._began)
        # If nothing was left to do, there is nothing to show.
        if self.status.phase != "starting":
            self._view.close(self.status, f"{'stopped after' if kind else 'done in'} {took}")

    def enter(self, warmup: Warmup, target: int, threads: int, records: RecordFormat) -> None:
        """Begin a window, or go on with it; see `Status.enter`."""
        self._records, phase = records, self.status.phase
        self.status.enter(warmup, target, self.later, threads, records)
        self._view.update(self.status, is_new_phase=self.status.phase != phase)

    def update(self, group: Group, fresh: int, seconds: float) -> bool:
        """Count a block that a group has finished; return whether to go on."""
        self.status.update(group, fresh, seconds, self._records)
        self._view.update(self.status)
        return not self._halt()
