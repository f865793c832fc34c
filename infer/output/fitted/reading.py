"""Read approximations from a run that has fitted them."""

from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ...engines.base import Draws
from ...numerics.families.named import find_family
from ...numerics.trace import list_recorded_steps
from ...run.run import Run
from ..advance.interrupt import advance_to
from ..data.arviz import describe_run
from .approximation import Approximation, ElboTrace

# Epochs averaged after the fit has settled; the error of the mean falls with their square root.
FINAL_EPOCHS = 50


def read_approximations(run: Run) -> list[Approximation]:
    """Run a fit to its end and average its last epochs; return one result for each density."""
    advance_to(run, FINAL_EPOCHS)
    draws, tunings, traces = run.draws(), run.warmup.split_tuning(), _read_traces(run)
    return [
        replace(_read_approximation(run, draws, tunings[i], i), trace=traces[i])
        for i in range(run.family.count)
    ]


def _read_traces(run: Run) -> list[ElboTrace]:
    """Read the ELBO of every density's epochs from the states of the chains."""
    # On the host: slices of JAX arrays would compile a program for every leaf of the states.
    states = [jax.tree.map(np.asarray, group.state).unpack() for group in run.groups]
    pairs = [p for state in states for p in zip(state.trace, state.epochs, strict=True)]
    steps = [list_recorded_steps(int(epochs)) for _, epochs in pairs]
    return [ElboTrace(own, *p[0][:, : len(own)]) for own, p in zip(steps, pairs, strict=True)]


def _read_approximation(run: Run, draws: Draws, tuning: Any, index: int) -> Approximation:
    """Read the approximation of one density from its one chain, which has the same index."""
    engine: Any = run.engine
    density, elbo = run.family.member(index), draws.stats["elbo"][index]
    family = find_family("ADVI", engine.family)
    distribution = family.average(draws.positions[index], density.size)
    begun = float(tuning.begun)
    # The first ELBO is an estimate from few draws; a diverged fit ends far below it.
    below = elbo.mean() < begun - 1 - 0.01 * abs(begun)
    sound = not density.has_value or bool(np.isfinite(elbo).all() and not below)
    return Approximation(
        density,
        distribution,
        family.name,
        -elbo,
        begun,
        bool(tuning.settled) and sound,
        describe_run(run),
    )
