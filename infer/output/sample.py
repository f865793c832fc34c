"""The main calls: sample, maximize and fit, each from model to result."""

from collections.abc import Sequence
from typing import Any, overload

from jaxtyping import Array

from ..calls import check_arguments
from ..counts import as_whole, is_whole
from ..density.chain_starts import Starts, count_chains, read_starts
from ..density.family import make_family
from ..engines.advi import ADVI
from ..engines.base import Engine, Tuning
from ..engines.map import MAP
from ..errors import EngineError, FitWarning, RunError, warn
from ..models.inputs.stacked import are_several
from ..models.model import Model
from ..run.loop import SAMPLING
from ..run.refusals import refuse_unless_engine
from ..run.run import Run
from ..run.start import start
from .approximation import Approximation, prepare_findings, read_approximations
from .arviz import to_arviz
from .optimum import Optimum, read_optima
from .origin import remember_run
from .surroundings import prepare_probe
from .values import prepare_values
from .verdict import Verdict, judge_run

# Default number of searches for a mode.
SEARCHES = 16


@check_arguments("infer.sample")
def sample(
    model: Model | Sequence[Model],
    engine: Engine | None = None,
    *,
    chains: int = 4,
    draws: int = 1000,
    warmup: int | None = None,
    starts: Starts | None = None,
    tuning: Tuning | None = None,
    key: int | Array = 0,
    group: int | None = None,
    threads: int | None = None,
    progress: bool | None = None,
) -> Any:
    """Draw from the posterior of a model, or of each of many in one call.

    Several models must differ only in the numbers in their arrays, like one model on many data
    sets, `[model.with_data(y=y) for y in data]`, or one frozen at many values. A model made under
    `vmap`, whose arrays all have one more leading axis, counts as several. Each model has its own
    chains, starts, step size and metric; one program serves them all, and none waits for
    another's draws in sampling or within a window of warm-up.

    Args:
        model: What a front end returned, or several of them.
        engine: A sampler; by default one is chosen, see `choose`. The attribute `engine_choice`
            of the result gives the reason, as does the logger "infer" at level INFO.
        chains: Number of chains of each model.
        draws: Number of draws per chain, the same for every chain.
        warmup: Warm-up draws per chain; by default the engine decides by the number of chains. HMC
            and NUTS stop early once the chains agree and the metric whitens their draws, and make
            at most twice as many if the chains need very different step sizes, or one was moved.
        starts: "uniform" (on (-2, 2) of the unconstrained space), "prior", or "initial" (the
            values that the model was made with, such as those of a tree, or "uniform" if the log
            density is not finite there); constrained values by name, each of a site's shape or
            with a leading axis of chains; a result that has values, such as an `Optimum`; or a
            list with one of these for each chain. For several models, a list has an item for
            each model. By default "uniform", unless the engine starts at the prior.
        tuning: The tuning of an earlier run (`Run.tuning`).
        key: A seed or a JAX key. Each draw depends only on the key, the chain and its index.
        group: Chains per program; by default 1 on a CPU, all on an accelerator.
        threads: Programs called at the same time on a CPU; does not change the draws.
        progress: Whether to show a bar; by default if standard error is a terminal.

    Returns:
        ArviZ data; see `to_arviz`. For several models, all variables, statistics and data have
        the dimension `dataset`, so that ArviZ computes its diagnostics for each. After an
        interrupt, the draws made so far. `explain_divergences`, `why_slow` and `verdict` accept
        it; for them its run is kept while this object exists, up to 256 MB of draws.

    Warns:
        ModelWarning: Data or coordinates are not used, or a gradient is wrong.
        SamplingWarning: A problem with the draws, as found by `verdict`, and what to do; or
            chains that warm-up relocated. There is one warning for each finding, and the attribute
            `verdict` keeps them all. To silence them:
            `warnings.filterwarnings("ignore", category=infer.SamplingWarning)`.

    Raises:
        ModelError, EngineError, RunError: As `start` does, before compiling.
        ModelError: The model's log density differs each time its Python code runs.
        StartError: No finite starting point was found; XLA may be compiling the loop by then.
        RunError: The draws could not be converted to a result; its `run` keeps them.
        KeyboardInterrupt: Interrupted before every chain had a draw.
    """
    draws = as_whole("draws", draws, 1)
    refuse_unless_sampler(engine)
    run = start(
        model, engine, chains=chains, warmup=warmup, starts=starts, tuning=tuning, key=key,
        group=group, threads=threads, progress=progress,
    )  # fmt: skip
    # While XLA is still compiling the loop.
    prepare_values(run.density)
    _advance(run, draws).refuse_unless_reproduced()
    data, found = _make_result(run)
    data.attrs["verdict"] = "\n".join(found.findings)
    for finding in found.findings:
        warn(finding)
    return data


def _make_result(run: Run) -> tuple[Any, Verdict]:
    """Convert a run to ArviZ data and judge it; if that fails, the error keeps the run."""
    try:
        data = to_arviz(run)
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


def refuse_unless_sampler(engine: Engine | None) -> None:
    """Raise if an engine is not a sampler."""
    refuse_unless_engine(engine)
    if engine is not None and engine.result != "draws":
        call = "maximize" if engine.result == "optimum" else "fit"
        raise EngineError(
            type(engine).__name__, "it is not a sampler", f"Call infer.{call}(model, ...)."
        )


def _refuse_other_engines(engine: Any, kind: type[Engine], call: str) -> None:
    """Raise if an engine gives results of another kind than a call returns."""
    refuse_unless_engine(engine)
    if engine.result != kind.result:
        name = kind.__name__
        raise EngineError(
            type(engine).__name__,
            f"infer.{call} works only with {name}",
            f"Give infer.{name}(...), or call infer.sample(model, ...) for draws of the posterior.",
        )


def _advance(run: Run, draws: int) -> Run:
    """Advance; after an interrupt, keep what every chain has."""
    try:
        return run.advance(draws)
    except KeyboardInterrupt:
        if run.warmup.window != SAMPLING or not run.fewest():
            raise
        warn(f"interrupted: {run.fewest()} of {draws} draws per chain are returned", UserWarning)
        return run


@overload
def maximize(
    model: Model, engine: MAP | None = ..., *,
    starts: int | Starts = ..., key: int | Array = ..., threads: int | None = ...,
) -> Optimum: ...  # fmt: skip
@overload
def maximize(
    model: Sequence[Model], engine: MAP | None = ..., *,
    starts: int | Starts = ..., key: int | Array = ..., threads: int | None = ...,
) -> list[Optimum]: ...  # fmt: skip
@check_arguments("infer.maximize")
def maximize(
    model: Model | Sequence[Model],
    engine: MAP | None = None,
    *,
    starts: int | Starts = SEARCHES,
    key: int | Array = 0,
    threads: int | None = None,
) -> Optimum | list[Optimum]:
    """Find the mode of the posterior, from several starts.

    Args:
        model: What a front end returned, or several of them that share a program; see `sample`.
        engine: `MAP(space="constrained")` or `MAP(space="unconstrained")`; the modes differ.
        starts: Number of starts, which are uniform, except that the first is at the values that
            the model was made with, if it has them, as a tree does. Or where the searches start,
            as in `sample`: one for given values, one for each item of a list, or 16 for "uniform"
            and "prior".
        key: A seed or a JAX key.
        threads: Programs called at the same time on a CPU.

    Returns:
        The best optimum, with those of all starts; for several models a list of them.

    Warns:
        FitWarning: A problem with the mode, and what to do; kept as its `findings`. The search
            did not converge, the log density seems to grow without bound or rises from where the
            search ended, other places are equally high, or only one of several searches got there.

    Raises:
        EngineError: No space is given, or the engine does not search for modes.
        ModelError, StartError: As `sample` does.
    """
    engine = MAP() if engine is None else engine
    _refuse_other_engines(engine, MAP, "maximize")
    count, how = _read_searches(model, engine, starts)
    run = start(model, engine, chains=count, starts=how, key=key, threads=threads, progress=False)
    # While XLA is still compiling the loop.
    if "minibatch" not in run.density.offers:
        prepare_probe(run.density)
    found = read_optima(run.advance(1))
    _warn([one.findings for one in found])
    return found if are_several(model) else found[0]


def _read_searches(model: Any, engine: MAP, starts: Any) -> tuple[int, Any]:
    """Return the number of searches, and where each one starts."""
    density = make_family(model, jacobian=engine.needs.jacobian).member(0)
    if is_whole(starts) or isinstance(starts, bool | float):
        count = as_whole("starts", starts, 1)
        own = {site.name for site in density.latent} <= density.model.initial_values().keys()
        return count, ["initial", *["uniform"] * (count - 1)] if own else "uniform"
    starts = read_starts(starts)
    several = isinstance(starts, list) and are_several(model)
    return count_chains(density, starts[0] if several and starts else starts) or SEARCHES, starts


def _warn(findings: Sequence[Sequence[str]]) -> None:
    """Warn of the findings of each of several results."""
    for index, own in enumerate(findings):
        for finding in own:
            which = f"models[{index}]: " if len(findings) > 1 else ""
            warn(which + finding, FitWarning)


@overload
def fit(
    model: Model, engine: ADVI | None = ..., *, starts: Starts = ..., epochs: int | None = ...,
    key: int | Array = ..., progress: bool | None = ...,
) -> Approximation: ...  # fmt: skip
@overload
def fit(
    model: Sequence[Model], engine: ADVI | None = ..., *, starts: Starts = ...,
    epochs: int | None = ..., key: int | Array = ..., progress: bool | None = ...,
) -> list[Approximation]: ...  # fmt: skip
@check_arguments("infer.fit")
def fit(
    model: Model | Sequence[Model],
    engine: ADVI | None = None,
    *,
    starts: Starts = "uniform",
    epochs: int | None = None,
    key: int | Array = 0,
    progress: bool | None = None,
) -> Approximation | list[Approximation]:
    """Fit an approximation of the posterior.

    Args:
        model: What a front end returned, or several of them that share a program; see `sample`.
        engine: By default `ADVI("mean_field")`.
        starts: Where the mean starts; as in `sample`.
        epochs: Maximum number of epochs, of 50 steps each.
        key: A seed or a JAX key.
        progress: Whether to show a bar.

    Returns:
        The approximation, whose `converged` says whether the stopping rule was met; for several
        models a list of them.

    Warns:
        FitWarning: The fit did not converge, or its `khat` is above 0.7; and what to do. Kept as
            its `findings`.
    """
    engine = ADVI() if engine is None else engine
    _refuse_other_engines(engine, ADVI, "fit")
    epochs = None if epochs is None else as_whole("epochs", epochs, 0)
    run = start(model, engine, chains=1, warmup=epochs, starts=starts, key=key, progress=progress)
    # While XLA is still compiling the loop.
    prepare_findings(run.density)
    found = read_approximations(run)
    _warn([one.findings for one in found])
    return found if are_several(model) else found[0]
