"""Choose the number of searches for a mode by what a gradient costs, and where they start."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from ...counts import as_whole, is_whole
from ...density.base import LogDensity
from ...density.chain_starts import count_chains, read_starts
from ...density.family import make_family
from ...density.jitter import OnInitial
from ...models.inputs.stacked import are_several
from ...run.choice import count_gradient_flops

# Searches if gradients are cheap.
SEARCHES = 16
# Numbers in the data and the flat vector up to which they are, without counting operations.
CHEAP_NUMBERS = 2**19
# Operations that all searches together should take, about 10 s on two cores, and the gradients of
# one search that is not hard.
BUDGET, GRADIENTS = 2e10, 100


class Searches(NamedTuple):
    """How many searches, and why if there are fewer than usual."""

    number: int
    reasons: tuple[str, ...] = ()


def choose_searches(density: LogDensity) -> Searches:
    """Choose as many searches as should take about ten seconds, at least 1 and at most 16."""
    numbers = density.size + sum(np.size(leaf) for leaf in jax.tree.leaves(density))
    if numbers <= CHEAP_NUMBERS:
        return Searches(SEARCHES)
    # Operations in a loop's body are counted once; every number is read at least.
    flops = max(count_gradient_flops(density), 2.0 * numbers)
    count = int(np.clip(BUDGET / (GRADIENTS * flops), 1, SEARCHES))
    if count == SEARCHES:
        return Searches(count)
    return Searches(
        count,
        (
            f"{count} {'search' if count == 1 else 'searches'}, not {SEARCHES}: a gradient takes "
            f"{flops:.1e} operations; starts={SEARCHES} makes more",
        ),
    )


def read_searches(model: Any, jacobian: bool, starts: Any) -> tuple[Searches, Any]:
    """Return the number of searches, and where each one starts.

    Args:
        model: The model, or several of them.
        jacobian: Whether the density includes the log-determinants of the maps.
        starts: Number of searches, or where they start; by default their cost decides.
    """
    density = make_family(model, jacobian=jacobian).member(0)
    if starts is None or is_whole(starts) or isinstance(starts, bool | float):
        chosen = starts is None
        searches = choose_searches(density) if chosen else Searches(as_whole("starts", starts, 1))
        more = ["uniform"] * (searches.number - 1)
        return searches, ["initial", *more] if _has_initial(density) else "uniform"
    starts = prefer_initial(density, read_starts(starts))
    several = isinstance(starts, list) and are_several(model)
    count = count_chains(density, starts[0] if several and starts else starts)
    return Searches(count or SEARCHES), starts


def choose_start(model: Any) -> str:
    """Choose where a single search or fit starts: at the values of the user's tree, if it has any.

    Args:
        model: The model, or several of them.
    """
    return "initial" if _has_initial(make_family(model, jacobian=True).member(0)) else "uniform"


def read_start(model: Any, starts: Any) -> Any:
    """Read where a single search or fit starts, by default where `choose_start` says."""
    if starts is None:
        return choose_start(model)
    return prefer_initial(make_family(model, jacobian=True).member(0), read_starts(starts))


def prefer_initial(density: LogDensity, starts: Any) -> Any:
    """Let the sites that starts do not name begin at the values of the user's tree, if any."""
    if isinstance(starts, list):
        return [prefer_initial(density, own) for own in starts]
    is_partial = isinstance(starts, Mapping) and {s.name for s in density.latent} - starts.keys()
    return OnInitial(starts) if is_partial and _has_initial(density) else starts


def _has_initial(density: LogDensity) -> bool:
    return {site.name for site in density.latent} <= density.model.initial_values().keys()
