"""Choose how to approximate a posterior: the family, by its size, and where the fit begins."""

from dataclasses import replace
from typing import Any, NamedTuple

from ..density.base import LogDensity
from ..engines.advi import ADVI
from ..engines.laplace import Laplace
from ..numerics.families.low_rank import LowRank

# Coordinates up to which a fit has full rank; a step of its factor then costs about as much as the
# gradients of 16 draws.
MAX_FULL_RANK = 500
# Coordinates from which correlations are left out.
MAX_LOW_RANK = 10**5
RANK = 20
# Steps per epoch, and the tolerance in standard deviations, of a fit that begins near its end. A
# step takes the gradients of 16 draws, so the 70 epochs that a fit takes at least take 1120. With
# epochs of 2 steps and a tolerance of 0.02, nine posteriors took 1.3 to 5.4 times the gradients,
# and errors were the same within 0.02 standard deviations.
BEGUN: dict[str, Any] = {"epoch": 1, "tolerance": 0.05}


class FitPlan(NamedTuple):
    """How to fit.

    Attributes:
        engine: The engine that fits.
        search: The engine that finds where it begins, or None.
        reasons: Why, one sentence each.
    """

    engine: ADVI
    search: Laplace | None
    reasons: tuple[str, ...]


def plan_fit(density: LogDensity) -> FitPlan:
    """Plan a fit from the size of a density and what can be computed of it."""
    size = density.size
    if "minibatch" in density.offers:
        why = "mean field: the model has a minibatch, so its gradients are noisy"
        begun = "begun at a start: minibatches have no exact log density, so no mode can be sought"
        return FitPlan(ADVI(), None, (why, begun))
    engine, search, why = _choose_by_size(size)
    if not density.has_value:
        from_start = "begun at a start: without a value of the log density, no mode can be sought"
        return FitPlan(engine, None, (why, from_start))
    begun = "begun at the mode of largest mass, with the covariance of Laplace's method"
    return FitPlan(replace(engine, **BEGUN), search, (why, begun))


def _choose_by_size(size: int) -> tuple[ADVI, Laplace, str]:
    if size <= MAX_FULL_RANK:
        why = f"full rank: {size} coordinates are few enough for all their correlations"
        return ADVI("full_rank"), Laplace("dense"), why
    if size < MAX_LOW_RANK:
        why = f"low rank plus diagonal: {size} coordinates are too many for a full covariance"
        return ADVI(LowRank(RANK)), Laplace("low_rank", rank=RANK), why
    why = f"mean field: {size} coordinates are too many for their correlations"
    return ADVI("mean_field"), Laplace("diagonal", searches=1), why
