"""`fit`: from a model to an approximation of its posterior."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, overload

from jaxtyping import Array

from ..calls import check_arguments
from ..counts import as_whole
from ..density.chain_starts import Starts
from ..engines.advi import ADVI
from ..engines.approximating import Approximator
from ..engines.base import Engine
from ..errors import warn_of_findings
from ..models.inputs.stacked import are_several
from ..models.model import Model
from ..run.run import Run
from ..run.start import start
from ..store.recorder import Recorder
from .advance.interrupt import keep_run
from .fitted.approximation import Approximation, prepare_findings
from .fitted.binding import bind_engine
from .fitted.reading import read_approximations
from .fitted.searches import Searches, read_searches
from .kinds import as_approximator
from .stored.storing import plan_storing_state


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
        engine: An engine whose result is an approximation, such as `ADVI("full_rank")`; by
            default `ADVI("mean_field")`.
        starts: Where the mean, or each search for a mode, starts; as in `sample`. By default
            "uniform".
        epochs: Maximum number of epochs, of 50 steps each, of an engine that has epochs.
        key: A seed or a JAX key.
        progress: Whether to show progress; by default in a terminal or a notebook.
        store: Path or URL of a new store, to which the state is committed; see `resume`.
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
    engine = ADVI() if engine is None else engine
    engine = bind_engine(as_approximator(engine, epochs), model)
    epochs = None if epochs is None else as_whole("epochs", epochs, 0)
    stored = plan_storing_state(store, engine.final_draws, commit_seconds)
    searches, how = _plan_chains(model, engine, starts)
    run = start(
        model, engine, chains=searches.number, warmup=epochs, starts=how, key=key,
        progress=progress,
    )  # fmt: skip
    run.reasons = searches.reasons
    # While XLA is still compiling the loop.
    prepare_findings(run.density, engine.choose_family(run.density.size))
    recorder = stored.begin(run, "fit") if stored else None
    several = are_several(model)
    return keep_run("infer.fit", run, lambda: finish_fit(run, several, recorder))


def finish_fit(
    run: Run, several: bool, recorder: Recorder | None = None
) -> Approximation | list[Approximation]:
    """Run a fit to its end, return what it found, and warn of its problems."""
    with recorder.recording(run) if recorder else nullcontext():
        found = read_approximations(run)
    warn_of_findings([one.findings for one in found])
    return found if several else found[0]


def _plan_chains(
    model: Any, engine: Approximator, starts: Starts | None
) -> tuple[Searches, Starts]:
    """Return the number of chains for each model, and where each one starts."""
    number = engine.count_chains()
    if number == 1:
        return Searches(1), "uniform" if starts is None else starts
    return read_searches(model, engine.needs.jacobian, number if starts is None else starts)
