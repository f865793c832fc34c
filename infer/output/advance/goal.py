"""What a run is to reach, and the loop that advances it there; an interrupt keeps the draws."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ...errors import warn
from ...run.progress import Halted, Progress
from ...run.run import Run
from .interrupt import advance_to, count_made


class Goal(ABC):
    """What a run is to reach; it is asked before each stretch of draws."""

    @abstractmethod
    def next_draws(self, run: Run) -> int | None:
        """Return how many draws every chain is to have next; None if the run is done."""

    def must_halt(self) -> bool:
        """Return whether to stop between two blocks and ask again."""
        return False

    def count(self, made: int) -> str:
        """Write how many draws per chain were made, and of how many."""
        return str(made)

    def conclude(self, run: Run, data: Any) -> dict[str, Any]:
        """Say what was reached, as attributes of the result."""
        return {}


class FixedGoal(Goal):
    """A number of draws per chain."""

    def __init__(self, draws: int) -> None:
        self.draws = draws

    def next_draws(self, run: Run) -> int | None:
        return self.draws if count_made(run) < self.draws else None

    def count(self, made: int) -> str:
        return f"{made} of {self.draws}"


def pursue(
    run: Run, goal: Goal, watch: Progress, is_stopped: Callable[[], bool] = lambda: False
) -> bool:
    """Advance a run until its goal is done or it is stopped; return whether the goal is done."""
    while not is_stopped():
        draws = goal.next_draws(run)
        if draws is None:
            return True
        with suppress(Halted):
            advance_to(run, draws, watch)
    return False


def pursue_or_keep(run: Run, goal: Goal) -> Run:
    """Pursue a goal in the foreground; after an interrupt, keep the draws that every chain has."""
    try:
        with Progress(run.progress, halt=goal.must_halt) as watch:
            pursue(run, goal, watch)
    except KeyboardInterrupt:
        if not count_made(run):
            raise
        warn(f"interrupted: {goal.count(run.fewest())} draws per chain are returned", UserWarning)
    return run
