"""An interrupted call loses nothing: its exception keeps the run and can go on with the call."""

from collections.abc import Callable
from typing import Any

from ...errors import Interrupted
from ...run.loop import SAMPLING
from ...run.progress import Progress
from ...run.run import Run


def keep_run(
    where: str, run: Run, finish: Callable[[], Any], then: Callable[[Any], Any] | None = None
) -> Any:
    """Finish a call, or a stage of it; if it is interrupted, the exception keeps the run.

    Args:
        where: How users write the call, such as "infer.sample".
        run: The run that the call advances.
        finish: Does all that is left to do, and does no step again that the run has behind it.
        then: Does what comes after this stage, from its result, with a run of its own.

    Raises:
        Interrupted: A `KeyboardInterrupt` was raised; `resume()` calls `finish` again.
    """
    try:
        done = finish()
    except KeyboardInterrupt:
        message = f"{where} was interrupted {_describe_phase(run)}. {_ADVICE}"
        raise Interrupted(message, run, lambda: keep_run(where, run, finish, then)) from None
    return done if then is None else then(done)


_ADVICE = (
    "Nothing is lost: resume() of this exception goes on from here, bit for bit, as in "
    "`import sys; result = sys.last_value.resume()`, and its attribute `run` is the run."
)


def _describe_phase(run: Run) -> str:
    # It imports optax, which only fits need.
    from ...engines.approximating import Approximator

    warmup, engine = run.warmup, run.engine
    unit = engine.unit if isinstance(engine, Approximator) else "draws"
    if isinstance(engine, Approximator) and unit == "epochs":
        planned = warmup.draws + sum(warmup.windows) + engine.final_draws
        made = run.fewest() + warmup.draws
        return f"after {made} of up to {planned} epochs"
    if engine.result == "optimum" or unit in ("searches", "points"):
        return "while it searched for modes"
    if warmup.window == SAMPLING:
        return f"after warm-up, with {run.fewest()} draws per chain"
    made = warmup.draws + run.fewest()
    return f"in warm-up, after {made} of up to {warmup.draws + sum(warmup.windows)} draws per chain"


def count_made(run: Run) -> int:
    """Return how many draws from the posterior every chain has."""
    return run.fewest() if run.warmup.window == SAMPLING else 0


def advance_to(run: Run, draws: int, watch: Progress | None = None) -> Run:
    """Advance until every chain has `draws` draws in all; see `Run.advance`."""
    return run.advance(max(draws - count_made(run), 0), watch)
