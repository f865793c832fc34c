"""Goals of stored runs: draws are read from the store, and the goal is committed with them."""

from typing import Any

import xarray

from ...run.run import Run
from ...store.recorder import Recorder
from ..advance.goal import FixedGoal, Goal
from ..data.versions import groups_of
from ..until_goal import UntilGoal, restore_goal
from .opened import read_data


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


def make_goal(run: Run, recorder: Recorder) -> Goal:
    """Make the goal of a stored run, as its store describes it."""
    saved = recorder.about.get("until")
    if saved is None:
        return FixedGoal(recorder.about["draws"])

    def read(run: Run) -> xarray.Dataset:
        recorder.finish(run)
        return groups_of(read_data(recorder.files))["posterior"]

    return RecordedUntil(restore_goal(saved, run.chains // run.family.count, read), recorder)
