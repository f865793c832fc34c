"""The goal of `until=`: check between stretches of draws whether every number has its target."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, fields
from math import inf
from typing import Any

import xarray

from ..counts import as_whole
from ..errors import RunError
from ..run.run import Run
from .advance.goal import FixedGoal, Goal
from .advance.interrupt import count_made
from .data.arviz import group_draws
from .data.drawn import read_draws
from .data.versions import read_group
from .judge.scalars import Mixing, Scalars
from .judge.until import Until, advise, describe


class UntilGoal(Goal):
    """Sampling until a target is reached or its budget ends.

    Attributes:
        until: The target and the budget.
        is_reached: Whether the target was reached at the last check.
    """

    def __init__(
        self, until: Until, chains: int, read: Callable[[Run], xarray.Dataset] | None = None
    ) -> None:
        self.until, self.is_reached = until, False
        self._read = read or read_posterior
        self._next, self._deadline, self._checking = until.choose_first_check(chains), inf, 0.0
        self._measured: list[Mixing] = []
        self._checked = 0

    def next_draws(self, run: Run) -> int | None:
        made = count_made(run)
        if run.places.processes.count > 1:
            found = "checks take the time of each process, and several share this run"
            raise RunError("until", found, "Give the number of draws.")
        if self._is_out_of_time(run):
            self._refuse_empty(run, made)
            return None
        if made < self._next:
            return self._next
        began = time.monotonic()
        need = self._check(self._read(run), made)
        self._checking += time.monotonic() - began
        following = None if self.is_reached else self.until.choose_next_check(made, need)
        self._next = following or self._next
        return following

    def save(self) -> dict[str, Any]:
        """Describe the goal in plain values, with the number of draws at the next check."""
        return asdict(self.until) | {"next": self._next, "checking": self._checking}

    def must_halt(self) -> bool:
        return time.monotonic() >= self._deadline

    def _is_out_of_time(self, run: Run) -> bool:
        """Return whether the time is used up; if not, set the time at which it will be."""
        if self.until.seconds is not None:
            spent = sum(astuple(run.timing)) + self._checking
            self._deadline = time.monotonic() + self.until.seconds - spent
        return self.must_halt()

    def _refuse_empty(self, run: Run, made: int) -> None:
        if made:
            return
        error = RunError(
            "until",
            f"the budget of {self.until.seconds:g} s ended before every chain had a draw",
            "Give more seconds=. The run is kept: error.run.advance(draws) goes on with it.",
        )
        error.run = run
        raise error

    def _check(self, posterior: xarray.Dataset, made: int) -> float:
        """Measure all numbers; return how many times as many draws the worst one needs."""
        self._measured, self._checked = Scalars(posterior).judge(self.until.estimate_need), made
        need = self.until.factor(self._measured[0]) if self._measured else inf
        self.is_reached = need <= 1
        return need

    def conclude(self, run: Run, data: Any) -> dict[str, Any]:
        made = count_made(run)
        if made != self._checked and not self.is_reached:
            self._check(read_group(data, "posterior"), made)
        text = f"reached with {made} draws per chain: {describe(self.until, self._measured)}"
        if self.is_reached:
            return {"until": text, "until_reached": 1}
        short = [mixing for mixing in self._measured if self.until.factor(mixing) > 1]
        return {
            "until": f"not {text}",
            "until_reached": 0,
            "until_short": "; ".join(mixing.name for mixing in short),
            "until_advice": advise(self.until, self._measured, made, run.timing.sampling),
        }


def restore_goal(
    saved: Mapping[str, Any], chains: int, read: Callable[[Run], xarray.Dataset]
) -> UntilGoal:
    """Make the goal that `UntilGoal.save` described.

    Args:
        saved: The description.
        chains: Number of chains of each model.
        read: Reads the posterior of a run.
    """
    until = Until(**{f.name: saved[f.name] for f in fields(Until)})
    goal = UntilGoal(until, chains, read)
    goal._next, goal._checking = saved["next"], saved["checking"]
    return goal


def read_posterior(run: Run) -> xarray.Dataset:
    """Read the draws made so far, which takes less time than all of `to_arviz`."""
    drawn = read_draws(run, run.draws())._replace(stats={})
    return group_draws(run.family, drawn)["posterior"]


def choose_goal(draws: Any, until: Any, chains: Any) -> Goal:
    """Choose the goal that a user asks for, by the number of draws or by a target.

    Raises:
        RunError: The draws are no number of at least 1, `until` is not an `Until`, both are given,
            or R-hat is asked for with a single chain.
    """
    if until is None:
        return FixedGoal(as_whole("draws", 1000 if draws is None else draws, 1))
    if not isinstance(until, Until):
        raise RunError("until", f"{until!r} was given", "Give infer.Until(rhat=1.01, ess=400).")
    if draws is not None:
        raise RunError(
            "draws", "draws and until are both given", "Give the most draws in Until(draws=...)."
        )
    count = as_whole("chains", chains, 1)
    if until.rhat is not None and count == 1:
        raise RunError(
            "until",
            "R-hat compares chains, and there is one",
            "Give chains=2 or more, or Until(rhat=None).",
        )
    return UntilGoal(until, count)
