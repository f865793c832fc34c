"""The calls that most people make: sample, maximize and fit, each one run from end to end."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Array

from ..density.start import Starts
from ..engines.advi import ADVI
from ..engines.base import Engine, Tuning
from ..engines.map import MAP
from ..errors import EngineError, SamplingWarning
from ..models.base import Model
from ..run.loop import SAMPLING
from ..run.offers import refuse_number, refuse_unless_engine
from ..run.run import Run
from ..run.start import start
from .approximation import Approximation, approximation_of
from .arviz import to_arviz
from .optimum import Optimum, optimum_of
from .values import prepare_values
from .verdict import judged


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

    Many models must differ in the numbers in their arrays alone, as the same model on many data
    sets does: `[model.with_data(y=y) for y in data]`, or one frozen at many values. Each has its
    own chains, starts, step size and metric; one program serves them all, and none waits for
    another's draws within a window of warm-up, nor in sampling.

    Args:
        model: What a front end returned, or several of them.
        engine: A sampler; by default one is chosen, see `choose`. The attribute `engine_choice`
            of the result says why, and so does the logger "infer" at level INFO.
        chains: Number of chains, of each model.
        draws: Draws per chain: exactly so many, for every chain.
        warmup: Warm-up draws per chain; by default the engine's for so many chains. HMC and NUTS
            end it early once the chains agree and the metric whitens their draws, and make at
            most twice as many where the chains need very different step sizes, or one had gone
            astray.
        starts: "uniform" (on (-2, 2) of the unconstrained space), "prior", or constrained
            values by name; by default "uniform", unless the engine begins at the prior.
        tuning: What an earlier run learned (`Run.tuning`).
        key: A seed or a JAX key. Draws depend on it, the chain and the draw alone.
        group: Chains per program; by default 1 on a CPU, all on an accelerator.
        threads: Programs called at the same time on a CPU; changes no draw.
        progress: Whether to show a bar; by default where standard error is a terminal.

    Returns:
        ArviZ data; see `to_arviz`. Of several models, all variables, statistics and data have
        the dimension `dataset`, so that ArviZ's diagnostics come out for each. After an
        interrupt, the draws made so far.

    Warns:
        SamplingWarning: Something is wrong with the draws, as `verdict` finds it, and what to do;
            one warning for each finding, kept in the attribute `verdict`. To silence them:
            `warnings.filterwarnings("ignore", category=infer.SamplingWarning)`.

    Raises:
        ModelError, EngineError, RunError: As `start` does, before compiling.
        StartError: No finite starting point was found; XLA may be at the loop by then.
        KeyboardInterrupt: Interrupted before every chain had a draw.
    """
    refuse_number("draws", draws, 1)
    refuse_unless_sampler(engine)
    run = start(
        model, engine, chains=chains, warmup=warmup, starts=starts, tuning=tuning, key=key,
        group=group, threads=threads, progress=progress,
    )  # fmt: skip
    # While XLA is still at the loop.
    prepare_values(run.density)
    data = to_arviz(_advanced(run, draws))
    found = judged(run.engine, data)
    data.attrs["verdict"] = "\n".join(found.findings)
    for finding in found.findings:
        warnings.warn(finding, SamplingWarning, stacklevel=2)
    return data


def refuse_unless_sampler(engine: Engine | None) -> None:
    """Raise where an engine draws nothing from the posterior."""
    if isinstance(engine, MAP | ADVI):
        call = "maximize" if isinstance(engine, MAP) else "fit"
        raise EngineError(
            type(engine).__name__, "it is not a sampler", f"Call infer.{call}(model, ...)."
        )


def _refuse_others(engine: Any, kind: type[Engine], call: str) -> None:
    """Raise where a call gets an engine whose results are of another kind."""
    refuse_unless_engine(engine)
    if not isinstance(engine, kind):
        name = kind.__name__
        raise EngineError(
            type(engine).__name__,
            f"infer.{call} works with {name} alone",
            f"Give infer.{name}(...), or call infer.sample(model, ...) for draws of the posterior.",
        )


def _advanced(run: Run, draws: int) -> Run:
    """Advance; after an interrupt, keep what every chain has."""
    try:
        return run.advance(draws)
    except KeyboardInterrupt:
        if run.window != SAMPLING or not run.fewest():
            raise
        warnings.warn(
            f"interrupted: {run.fewest()} of {draws} draws per chain are returned", stacklevel=3
        )
        return run


def maximize(
    model: Model,
    engine: MAP,
    *,
    starts: int | Starts = 16,
    key: int | Array = 0,
    threads: int | None = None,
) -> Optimum:
    """Find the mode of the posterior, from several starts.

    Args:
        model: What a front end returned.
        engine: `MAP(space="constrained")` or `MAP(space="unconstrained")`; the modes differ.
        starts: How many uniform starts; or "prior" or constrained values, for 16.
        key: A seed or a JAX key.
        threads: Programs called at the same time on a CPU.

    Returns:
        The best optimum, with those of all starts.
    """
    _refuse_others(engine, MAP, "maximize")
    counted = isinstance(starts, int | np.integer)
    count, how = (int(starts), "uniform") if counted else (16, starts)
    run = start(model, engine, chains=count, starts=how, key=key, threads=threads, progress=False)
    return optimum_of(run.advance(1))


def fit(
    model: Model,
    engine: ADVI | None = None,
    *,
    starts: Starts = "uniform",
    epochs: int | None = None,
    key: int | Array = 0,
    progress: bool | None = None,
) -> Approximation:
    """Fit an approximation of the posterior.

    Args:
        model: What a front end returned.
        engine: By default `ADVI("mean_field")`.
        starts: Where the mean begins; as in `sample`.
        epochs: Most epochs of 50 steps before the fit is cut short.
        key: A seed or a JAX key.
        progress: Whether to show a bar.

    Returns:
        The approximation; its `converged` tells whether the stop rule was met.
    """
    engine = ADVI() if engine is None else engine
    _refuse_others(engine, ADVI, "fit")
    run = start(model, engine, chains=1, warmup=epochs, starts=starts, key=key, progress=progress)
    return approximation_of(run)
