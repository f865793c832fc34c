"""The smallest bulk ESS and the largest R-hat of draws."""

from typing import Any, NamedTuple

import arviz as az
import numpy as np


class Quality(NamedTuple):
    """How good draws are.

    Attributes:
        ess: Smallest bulk ESS of an entry.
        rhat: Largest R-hat of an entry.
    """

    ess: float
    rhat: float


def measure_quality(draws: Any) -> Quality:
    """Measure draws of shape (chain, draw, ...)."""
    entries = np.asarray(draws, float)
    entries = entries.reshape(*entries.shape[:2], -1)
    each = [entries[..., i] for i in range(entries.shape[-1])]
    ess: list[Any] = [az.ess(own) for own in each]
    rhat: list[Any] = [az.rhat(own) for own in each]
    return Quality(float(min(ess)), float(max(rhat)))
