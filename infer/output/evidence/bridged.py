"""The evidence by warp-III bridge sampling, from draws of any sampler."""

from functools import partial
from typing import Any

import numpy as np

from ...density.base import LogDensity
from ...errors import RunError, warn
from ...numerics.bridge import Bridge, bridge, fit_warp
from .estimate import Estimate
from .positions import evaluate, read_positions

NAME = "warp-III bridge sampling"
# With fewer effective draws on either side, the error is not known well.
FEWEST_EFFECTIVE = 50


def estimate_by_bridge(density: LogDensity, result: Any, seed: int) -> Estimate:
    """Estimate the log evidence from the draws of a result.

    Raises:
        RunError: There are too few draws, or they are not of this model's posterior.
    """
    positions = read_positions(density, result).astype(np.float64)
    half = positions.shape[1] // 2
    first, second = positions[:, :half], positions[:, half:]
    warp = fit_warp(first.reshape(-1, density.size)) if half > 1 else None
    if warp is None:
        raise RunError(
            "result",
            f"{len(positions)} chains of {positions.shape[1]} draws have no regular covariance of "
            f"{density.size} numbers in their first half",
            "Give more draws; or, if chains do not move, see infer.verdict(result).",
        )
    found = bridge(partial(evaluate, density), warp, second, seed)
    _warn_if_doubtful(found)
    return Estimate(found.log_integral, found.standard_error, NAME)


def _warn_if_doubtful(found: Bridge) -> None:
    if not min(found.ess, found.overlap) >= FEWEST_EFFECTIVE:
        warn(
            f"the bridge between the posterior and the fitted normal rests on {found.ess:.0f} "
            f"effective draws of the one and {found.overlap:.0f} of the other, so its standard "
            "error is too small. Give more draws; if the posterior has separate modes or chains "
            "that disagree, use infer.Tempered()."
        )
