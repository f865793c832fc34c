"""What a sampler returns: draws of one case, with their time and cost."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .clock import Clock
from .suite import Case

CHAINS = 4


class Draws(NamedTuple):
    """The draws of one run, and what they cost.

    Attributes:
        seconds: Wall time of the run, compiling included.
        compiling: Seconds of it in which JAX traced or compiled.
        values: Draws of each site, shape (chains, draws, ...).
        sampled: Leapfrog steps of all chains after warm-up.
        warmed: Leapfrog steps of all chains in warm-up; NumPyro reports them only for a run that is
            a warm-up alone.
        divergences: Divergences after warm-up.
    """

    seconds: float
    compiling: float
    values: dict[str, np.ndarray]
    sampled: int
    warmed: int
    divergences: int


# Takes a seed and a number of draws; 1 draw means a warm-up alone.
Sampler = Callable[[int, int], Draws]


def read_arviz(case: Case, clock: Clock, data: Any, warmed: Any) -> Draws:
    """Read ArviZ data."""
    values = {name: np.asarray(data["posterior"][name]) for name in case.sites}
    steps, diverging = (int(data["sample_stats"][n].sum()) for n in ("n_steps", "diverging"))
    return Draws(*clock.found, values, steps, int(warmed), diverging)
