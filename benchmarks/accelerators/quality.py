"""Whether draws of many chains suffice: nested R-hat, and the effective number of draws."""

from typing import Any, NamedTuple

import numpy as np
import xarray

import infer

# With as many chains, each of them counts as a batch of draws.
MANY = 64
SUPERCHAINS = 16


class Quality(NamedTuple):
    """What draws are worth.

    Attributes:
        rhat: Largest nested R-hat of any number.
        ess: Smallest effective number of draws of any number.
    """

    rhat: float
    ess: float


def count_superchains(chains: int) -> int:
    """Return how many groups of chains begin at a point of their own."""
    return SUPERCHAINS if chains >= 2 * SUPERCHAINS else chains


def judge(draws: np.ndarray) -> Quality:
    """Judge draws of shape (chains, draws, numbers), whose superchains follow each other.

    With many chains the variance of a chain's mean is known from the chains themselves: the
    effective number of draws is the number of chains times variance over variance of means, as for
    the means of independent batches. It needs no autocorrelations, which two draws of a
    chain do not show. Few chains are judged by ArviZ's bulk ESS.

    Source: Margossian et al. (2024), Nested R-hat, arXiv 2110.13017.
    """
    import arviz as az

    draws = np.asarray(draws, np.float64)
    chains, length, numbers = draws.shape
    posterior = xarray.Dataset({"x": (("chain", "draw", "number"), draws)})
    rhat: Any = infer.nested_rhat({"posterior": posterior}, count_superchains(chains))
    if chains >= MANY:
        spread = draws.reshape(-1, numbers).var(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ess = chains * spread / draws.mean(1).var(0, ddof=1)
    else:
        own = (draws[..., i] for i in range(numbers))
        ess = np.array([float(az.ess(each)) for each in own]) if length >= 4 else np.zeros(numbers)
    return Quality(float(rhat["x"].max()), float(np.nan_to_num(ess).min()))
