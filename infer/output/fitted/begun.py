"""Begin a fit where searches for modes ended, with the covariance of Laplace's method there."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from ...density.chain_starts import assign_starts, read_starts
from ...engines.approximating import Fitted, Problem
from ...numerics.families.base import Distribution
from ...run.packed import pack
from ...run.run import Run
from ..data.values import constrain_all
from .reading import find_fitted

# Problems of a search that a fit which begins there shares; the last one if it does not converge.
SHARED = ("other_modes", "unbounded_density")


def choose_starts(run: Run, found: Sequence[Fitted], searches: Any) -> Any:
    """Return where each density's fit starts: at the mode, or elsewhere if there is none.

    Args:
        run: The run of the searches.
        found: What they found for each density.
        searches: Where the searches started; a fit that has no mode starts where the first search
            of its density did.
    """
    chains = run.chains // run.family.count
    firsts = assign_starts(run.family, chains, read_starts(searches))[::chains]
    each, fitted = [], find_fitted(run)
    for index, one in enumerate(found):
        density = fitted.member(index)
        where = np.asarray(one.distribution.location)
        if one.converged:
            values = constrain_all(density, where[None])
            each.append({site.name: values[site.name][0] for site in density.latent})
        else:
            each.append(firsts[index])
    return each if len(each) > 1 else each[0]


def begin_at(run: Run, found: Sequence[Fitted]) -> None:
    """Let the fits begin with distributions, instead of at their starts with scales of their own.

    Their gradients include those of the searches.

    Args:
        run: A run of fits that has made no step, with one chain for each density.
        found: What searches found for each density; one that has not converged is left out.
    """
    groups = []
    for group in run.groups:
        state: Any = jax.tree.map(np.array, group.state).unpack()
        entering = group.entering.copy()
        for row, chain in enumerate(group.chains):
            if found[chain].converged:
                _write(state.distribution, row, found[chain].distribution)
                entering[row] = False
        groups.append(replace(group, state=pack(state, 1), entering=entering))
    spent = np.asarray([one.n_gradients for one in found], np.int32)
    tuning = replace(run.warmup.tuning, spent=spent.reshape(run.warmup.tuning.spent.shape))
    run.warmup = replace(run.warmup, groups=tuple(groups), tuning=tuning)


def _write(stacked: Distribution, row: int, first: Distribution) -> None:
    """Write a distribution into one row of stacked ones."""
    for all_rows, own in zip(jax.tree.leaves(stacked), jax.tree.leaves(first), strict=True):
        all_rows[row] = own


def describe_beginnings(found: Sequence[Fitted]) -> tuple[str, ...]:
    """Say what the searches took, and for how many densities there was no mode, and why."""
    spent = f"the searches took {sum(one.n_gradients for one in found)} gradients"
    kinds = [one.problems[0].kind for one in found if not one.converged]
    if not kinds:
        return (spent,)
    several = f" for {len(kinds)} of {len(found)} models" if len(found) > 1 else ""
    instead = f"begun at a start{several}, since there was no mode to begin at ({kinds[0]})"
    return spent, instead


def list_shared_problems(found: Sequence[Fitted]) -> tuple[tuple[Problem, ...], ...]:
    """List for each density the problems that its fit will share with the searches."""
    return tuple(
        tuple(problem for problem in one.problems if problem.kind in SHARED) for one in found
    )
