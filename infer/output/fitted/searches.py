"""Choose the number of searches for a mode by what a gradient costs."""

from typing import NamedTuple

import jax
import numpy as np

from ...density.base import LogDensity
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
