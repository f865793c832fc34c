"""Read approximations from a run that has fitted them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from ...density.base import LogDensity
from ...density.family import Family
from ...density.recentered import recenter
from ...engines.approximating import Approximator, Ended, Fitted, Problem
from ...engines.base import Draws
from ...models.inputs.names import join_names
from ...programs.native import call_compiled
from ...run.progress import Progress
from ...run.run import Run
from ..advance.interrupt import advance_to
from ..data.arviz import describe_run
from ..finding import Finding
from .approximation import Approximation

# Names of coordinates in a message.
SHOWN = 3


def read_approximations(run: Run) -> list[Approximation]:
    """Run a fit to its end, and return one result for each density."""
    found = conclude_fits(run)
    attributes = describe_run(run)
    known, family = run.problems or ((),) * len(found), find_fitted(run)
    return [
        make_approximation(run, family.member(i), one, known[i], attributes)
        for i, one in enumerate(found)
    ]


def find_fitted(run: Run) -> Family:
    """Return the log densities in the coordinates in which a run fits them."""
    return recenter(run.family, run.warmup.centering)


def conclude_fits(run: Run) -> list[Fitted]:
    """Run a fit to its end, and let its engine conclude for each density.

    See `engines/approximating.py` for what an engine hands over.
    """
    engine = run.engine
    assert isinstance(engine, Approximator)
    with Progress(run.progress, unit=engine.unit) as watch:
        advance_to(run, engine.final_draws, watch)
    return [engine.conclude(ended) for ended in _split_by_density(run)]


def make_approximation(
    run: Run, density: LogDensity, fitted: Fitted, known: Sequence[Problem],
    attributes: dict[str, Any],
) -> Approximation:  # fmt: skip
    """Make the result of `infer.fit` of what an engine found.

    Args:
        run: The run.
        density: The log density.
        fitted: What the engine found.
        known: Problems that were known before the run.
        attributes: How it was made.
    """
    return Approximation(
        density,
        fitted.distribution,
        fitted.family,
        fitted.losses,
        fitted.initial_elbo,
        fitted.converged,
        attributes,
        fitted.trace,
        tuple(_describe(density, problem) for problem in (*known, *fitted.problems)),
        fitted.facts,
        fitted.n_gradients,
        run.reasons,
        fitted.paths,
    )


def _split_by_density(run: Run) -> list[Ended]:
    """Return where the chains of each density ended, which are next to each other."""
    draws, tunings = run.draws(), run.warmup.split_tuning()
    # On the host: slices of JAX arrays would compile a program for every leaf of the states.
    states = [jax.tree.map(np.asarray, group.state).unpack() for group in run.groups]
    states = jax.tree.map(lambda *own: np.concatenate(own), *states)
    width, family = run.chains // run.family.count, find_fitted(run)
    found, call = [], partial(call_compiled, form="fast_compile")
    for index, tuning in enumerate(tunings):
        own = slice(index * width, (index + 1) * width)
        mine, last = jax.tree.map(lambda a, own=own: a[own], (draws, states))
        found.append(Ended(family.member(index), Draws(*mine), tuning, last, call))
    return found


def _describe(density: LogDensity, problem: Problem) -> Finding:
    """Name the coordinates of a problem."""
    labels = density.labels()
    along = [labels[i] for i in problem.along]
    sites = tuple(dict.fromkeys(name.partition("[")[0] for name in along))
    found = problem.found.format(along=join_names(along, SHOWN), sites=join_names(sites, SHOWN))
    return Finding(problem.kind, found, problem.advice, sites)
