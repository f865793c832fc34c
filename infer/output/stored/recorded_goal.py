"""Goals of stored runs: draws are read from the store, and the goal is committed with them."""

from typing import Any

import xarray

from ...run.run import Run
from ...store.recorder import Recorder
from ...store.records import drop
from ..advance.goal import FixedGoal, Goal
from ..advance.interrupt import count_made
from ..data.versions import groups_of
from ..until_goal import UntilGoal, restore_goal
from .opened import read_data

# Draws per chain in a stretch.
STRETCH = 50


class RecordedUntil(Goal):
    """A target whose checks read the store, so that memory does not grow with the draws."""

    def __init__(self, goal: UntilGoal, recorder: Recorder) -> None:
        self.goal, self.recorder = goal, recorder

    def next_draws(self, run: Run) -> int | None:
        draws = self.goal.next_draws(run)
        # The next commit has it. If there is none, the check is made again, with the same result.
        self.recorder.about["until"] = self.goal.save()
        return draws

    def must_halt(self) -> bool:
        return self.goal.must_halt()

    def conclude(self, run: Run, data: Any) -> dict[str, Any]:
        return self.goal.conclude(run, data)


class Stretches(Goal):
    """A number of draws per chain, in stretches after which processes exchange what they have.

    Only then can the first process commit the draws of the others.
    """

    def __init__(self, draws: int) -> None:
        self.draws = draws

    def next_draws(self, run: Run) -> int | None:
        made = count_made(run)
        if run.places.processes.index:
            # They are in the store, or in the memory of the first process.
            for group in run.groups:
                drop(group, made - 1)
        return min(made + STRETCH, self.draws) if made < self.draws else None


def make_goal(run: Run, recorder: Recorder) -> Goal:
    """Make the goal of a stored run, as its store describes it."""
    saved = recorder.about.get("until")
    if saved is None:
        processes = run.places.processes
        exchanges = processes.count > 1 and not processes.are_together
        return (Stretches if exchanges else FixedGoal)(recorder.about["draws"])

    def read(run: Run) -> xarray.Dataset:
        recorder.finish(run)
        return groups_of(read_data(recorder.files))["posterior"]

    return RecordedUntil(restore_goal(saved, run.chains // run.family.count, read), recorder)
