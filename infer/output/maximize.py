"""`maximize`: from a model to the mode of its posterior."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, overload

from jaxtyping import Array

from ..calls import check_arguments
from ..density.chain_starts import Starts
from ..density.repeats import refuse_unless_traced_alike
from ..engines.map import MAP
from ..errors import warn_of_findings
from ..models.inputs.stacked import are_several
from ..models.model import Model
from ..run.progress import Progress
from ..run.run import Run
from ..run.start import start
from ..store.recorder import Recorder
from .advance.interrupt import advance_to, keep_run
from .fitted.optimum import Optimum, read_optima
from .fitted.searches import read_searches
from .fitted.surroundings import has_point_program, prepare_probe
from .kinds import refuse_other_engines
from .stored.storing import plan_storing_state


@overload
def maximize(
    model: Model, engine: MAP | None = ..., *,
    starts: int | Starts | None = ..., key: int | Array = ..., threads: int | None = ...,
    progress: bool | None = ..., store: Any = ..., commit_seconds: float | None = ...,
) -> Optimum: ...  # fmt: skip
@overload
def maximize(
    model: Sequence[Model], engine: MAP | None = ..., *,
    starts: int | Starts | None = ..., key: int | Array = ..., threads: int | None = ...,
    progress: bool | None = ..., store: Any = ..., commit_seconds: float | None = ...,
) -> list[Optimum]: ...  # fmt: skip
@check_arguments("infer.maximize")
def maximize(
    model: Model | Sequence[Model],
    engine: MAP | None = None,
    *,
    starts: int | Starts | None = None,
    key: int | Array = 0,
    threads: int | None = None,
    progress: bool | None = None,
    store: Any = None,
    commit_seconds: float | None = None,
) -> Optimum | list[Optimum]:
    """Find the mode of the posterior, from several starts.

    Args:
        model: What a front end returned, or several of them that share a program; see `sample`.
        engine: `MAP(space="constrained")` or `MAP(space="unconstrained")`; the modes differ.
        starts: Number of starts, which are uniform, except that the first is at the values that
            the model was made with, if it has them, as a tree does. By default 16, or as many as
            should take about ten seconds, if gradients are expensive; `reasons` of the result
            says so. Or where the searches start, as in `sample`: one for given values, "initial",
            "mean" and "median", one for each item of a list, or 16 for "uniform" and "prior".
        key: A seed or a JAX key.
        threads: Programs called at the same time on a CPU.
        progress: Whether to show progress; by default in a terminal or a notebook.
        store: Path or URL of a new store, to which the state is committed; see `resume`.
        commit_seconds: Seconds between commits; see `sample`.

    Returns:
        The best optimum, with those of all starts; for several models a list of them.

    Warns:
        FitWarning: A problem with the mode, and what to do; kept as its `findings`. The search
            did not converge, the log density seems to grow without bound or rises from where the
            search ended, it is highest at the edge of a set, other places are equally high, or
            only one of several searches got there.

    Raises:
        EngineError: No space is given, or the engine does not search for modes.
        ModelError, StartError, Interrupted: As `sample` does.
    """
    engine = MAP() if engine is None else engine
    refuse_other_engines(engine, MAP, "maximize")
    searches, how = read_searches(model, engine.needs.jacobian, starts)
    stored = plan_storing_state(store, 1, commit_seconds)
    run = start(
        model, engine, chains=searches.number, starts=how, key=key, threads=threads,
        progress=progress,
    )  # fmt: skip
    run.reasons = searches.reasons
    # While XLA is still compiling the loop.
    refuse_unless_traced_alike(run.density)
    if "minibatch" not in run.density.offers and not has_point_program(run):
        prepare_probe(run.density)
    recorder = stored.begin(run, "maximize") if stored else None
    several = are_several(model)
    return keep_run("infer.maximize", run, lambda: finish_maximize(run, several, recorder))


def finish_maximize(
    run: Run, several: bool, recorder: Recorder | None = None
) -> Optimum | list[Optimum]:
    """Run searches to their end, return what they found, and warn of its problems."""
    with recorder.recording(run) if recorder else nullcontext():
        with Progress(run.progress, unit="searches") as watch:
            advance_to(run, 1, watch)
        found = read_optima(run)
    warn_of_findings([one.findings for one in found])
    return found if several else found[0]
