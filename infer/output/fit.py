"""`fit`: from a model to an approximation of its posterior."""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, overload

from jaxtyping import Array

from ..calls import check_arguments
from ..counts import as_whole
from ..density.chain_starts import Starts
from ..density.family import make_family
from ..density.repeats import refuse_unless_traced_alike
from ..engines.approximating import Approximator, Fitted
from ..engines.base import Engine
from ..errors import ModelWarning, warn_of_findings
from ..models.inputs.stacked import are_several
from ..models.model import Model
from ..run.fit_choice import FitPlan, plan_fit
from ..run.run import Run
from ..run.start import start
from ..store.recorder import Recorder
from .advance.interrupt import keep_run
from .data.versions import load_container
from .fitted.approximation import Approximation, prepare_findings
from .fitted.begun import begin_at, choose_starts, describe_beginnings, list_shared_problems
from .fitted.binding import bind_engine
from .fitted.coordinates import begin_coordinates, describe_coordinates, prepare_coordinates
from .fitted.reading import conclude_fits, find_fitted, read_approximations
from .fitted.searches import Searches, read_searches, read_start
from .kinds import as_approximator
from .stored.storing import Storing, plan_storing_state


@overload
def fit(
    model: Model, engine: Engine | None = ..., *, starts: Starts | None = ...,
    epochs: int | None = ..., key: int | Array = ..., progress: bool | None = ..., store: Any = ...,
    commit_seconds: float | None = ...,
) -> Approximation: ...  # fmt: skip
@overload
def fit(
    model: Sequence[Model], engine: Engine | None = ..., *, starts: Starts | None = ...,
    epochs: int | None = ..., key: int | Array = ..., progress: bool | None = ...,
    store: Any = ..., commit_seconds: float | None = ...,
) -> list[Approximation]: ...  # fmt: skip
@check_arguments("infer.fit")
def fit(
    model: Model | Sequence[Model],
    engine: Engine | None = None,
    *,
    starts: Starts | None = None,
    epochs: int | None = None,
    key: int | Array = 0,
    progress: bool | None = None,
    store: Any = None,
    commit_seconds: float | None = None,
) -> Approximation | list[Approximation]:
    """Fit an approximation of the posterior.

    Args:
        model: What a front end returned, or several of them that share a program; see `sample`.
        engine: An engine whose result is an approximation, such as `ADVI("mean_field")`. By
            default `choose(model, kind="fit")` picks ADVI with a family by the number of
            coordinates, which begins at the best of several modes; `reasons` of the result say so.
        starts: Where the mean, or each search for a mode, starts; as in `sample`. By default
            where searches for modes ended; without searches, at the values of the tree that the
            model was made from, or else "uniform".
        epochs: Maximum number of epochs, of 50 steps each, of an engine that has epochs.
        key: A seed or a JAX key.
        progress: Whether to show progress; by default in a terminal or a notebook.
        store: Path or URL of a new store, to which the state is committed; see `resume`. The
            searches of the default engine are not, and begin again if they are cut off.
        commit_seconds: Seconds between commits; see `sample`.

    Returns:
        The approximation, whose `converged` says whether the stopping rule was met; for several
        models a list of them.

    Warns:
        FitWarning: The fit did not converge, or short chains of HMC that began at its draws moved
            away from it; and what to do. Kept as its `findings`.

    Raises:
        Interrupted: As `sample` does.
    """
    epochs = None if epochs is None else as_whole("epochs", epochs, 0)
    if engine is None:
        call = _Call(model, starts, epochs, key, progress, store, commit_seconds)
        return _fit_by_plan(call, plan_fit(make_family(model, jacobian=True).member(0)))
    engine = bind_engine(as_approximator(engine, epochs), model, epochs)
    call = _Call(model, starts, epochs, key, progress, store, commit_seconds)
    stored = plan_storing_state(store, engine.final_draws, commit_seconds)
    return _run_to_end(call, _start(call, engine, _plan_chains(call, engine)), stored)


class _Call(NamedTuple):
    """The arguments of `fit`, without the engine."""

    model: Any
    starts: Starts | None
    epochs: int | None
    key: Any
    progress: bool | None
    store: Any
    commit_seconds: float | None


def _start(
    call: _Call, engine: Approximator, chains: tuple[Searches, Starts], coordinates: Any = None
) -> Run:
    """Make the run of an engine, and begin to compile what its findings need."""
    searches, how = chains
    run = start(
        call.model, engine, chains=searches.number, warmup=call.epochs, starts=how, key=call.key,
        progress=call.progress, tuning=coordinates,
    )  # fmt: skip
    run.reasons = searches.reasons
    # While XLA is still compiling the loop.
    refuse_unless_traced_alike(run.density)
    prepare_findings(find_fitted(run).member(0), engine.choose_family(run.density.size))
    load_container()
    return run


def _run_to_end(call: _Call, run: Run, stored: Storing | None) -> Any:
    recorder = stored.begin(run, "fit") if stored else None
    several = are_several(call.model)
    return keep_run("infer.fit", run, lambda: finish_fit(run, several, recorder))


def _fit_by_plan(call: _Call, plan: FitPlan) -> Any:
    """Search for modes, if that is planned, and fit from there.

    If the family has a full covariance, both are done in coordinates in which it is learned how far
    sites are centered.
    """
    engine = bind_engine(plan.engine, call.model, call.epochs)
    stored = plan_storing_state(call.store, engine.final_draws, call.commit_seconds)
    if plan.search is None:
        run = _start(call, engine, _plan_chains(call, engine))
        run.reasons = plan.reasons
        return _run_to_end(call, run, stored)
    chains, coordinates = _plan_chains(call, plan.search), begin_coordinates(call.model, engine)
    search = _start(call._replace(epochs=None), plan.search, chains, coordinates)

    def fit_from(found: list[Fitted]) -> Any:
        starts = choose_starts(search, found, chains[1])
        with warnings.catch_warnings():
            # The run of the search has warned of the model.
            warnings.simplefilter("ignore", ModelWarning)
            run = _start(call, engine, (Searches(1), starts), coordinates)
        begin_at(run, found)
        prepare_coordinates(run)
        beginnings = (*describe_beginnings(found), *describe_coordinates(run))
        run.reasons = (*plan.reasons, *search.reasons, *beginnings)
        run.problems = list_shared_problems(found)
        return _run_to_end(call, run, stored)

    return keep_run("infer.fit", search, lambda: conclude_fits(search), fit_from)


def finish_fit(
    run: Run, several: bool, recorder: Recorder | None = None
) -> Approximation | list[Approximation]:
    """Run a fit to its end, return what it found, and warn of its problems."""
    with recorder.recording(run) if recorder else nullcontext():
        found = read_approximations(run)
    warn_of_findings([one.findings for one in found])
    return found if several else found[0]


def _plan_chains(call: _Call, engine: Approximator) -> tuple[Searches, Starts]:
    """Return the number of chains for each model, and where each one starts."""
    number, starts = engine.count_chains(), call.starts
    if number == 1:
        return Searches(1), read_start(call.model, starts)
    return read_searches(call.model, engine.needs.jacobian, number if starts is None else starts)
