"""Make the result of a call from its run: ArviZ data, judged, with a warning for each finding."""

from collections.abc import Sequence
from typing import Any

from ..errors import RunError, warn
from ..run.run import Run
from ..run.self_check import refuse_unless_reproduced
from .advance.goal import Goal
from .data.arviz import to_arviz
from .data.origin import remember_run
from .judge.until import find_shortfall
from .judge.verdict import Verdict, judge_run
from .predictive.requested import add_requested


def make_result(run: Run, goal: Goal, include: Sequence[str] = ()) -> Any:
    """Return ArviZ data with their verdict, and warn of what is wrong with the draws.

    Args:
        run: The run, which has draws.
        goal: What it was to reach.
        include: Groups to make besides those of `to_arviz`; see `requested.py`.

    Raises:
        ModelError: The model's log density differs each time its Python code runs.
        RunError: The draws could not be converted to a result; its `run` keeps them.
    """
    refuse_unless_reproduced(run)
    data, found = _convert(run, include)
    data.attrs.update(goal.conclude(run, data))
    findings = (*found.findings, *find_shortfall(data))
    data.attrs["verdict"] = "\n".join(findings)
    for finding in findings:
        warn(finding)
    return data


def _convert(run: Run, include: Sequence[str]) -> tuple[Any, Verdict]:
    """Convert a run to ArviZ data and judge it; if that fails, the error keeps the run."""
    try:
        data = add_requested(to_arviz(run), run, include)
        remember_run(data, run)
        return data, judge_run(run, data)
    except Exception as error:
        lost = RunError(
            "result",
            "sampling finished, but its draws could not be converted to a result "
            f"({type(error).__name__}: {error})",
            "They are kept: error.run.draws() returns them, and infer.to_arviz(error.run) tries "
            "again.",
        )
        lost.run = run
        raise lost from error
