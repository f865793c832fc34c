"""The draws of a result in the flat vector of a model, checked to be draws of its posterior."""

from typing import Any

import numpy as np

from ...density.base import LogDensity
from ...errors import RunError
from ...run.run import Run
from ..data.arviz import SET
from ..data.origin import find_run
from ..data.recorded import has_left_memory
from ..data.values import unconstrain_all
from ..data.versions import groups_of
from ..fitted.ratios import weigh
from ..predictive.source import read_source

# The model's log density and that recorded with the draws may differ by this much, in nats and
# relative to it: values that were mapped back have rounding errors.
FAR, FAR_RELATIVE = 0.01, 1e-4
UNCONSTRAINED = "unconstrained_posterior"


def evaluate(density: LogDensity, points: np.ndarray) -> np.ndarray:
    """Compute log densities in nats at points of shape (points, size)."""
    return weigh(density, points, np.zeros(len(points))).log_ratios


def read_positions(density: LogDensity, result: Any) -> np.ndarray:
    """Read the draws of a result, shape (chains, draws, size).

    They are those of its run if it is known, then those of the group `unconstrained_posterior`,
    and else the values of the sites, mapped back.

    Raises:
        ModelError: The result lacks a site.
        RunError: They are draws of another model's posterior, or of several models.
    """
    run = result if isinstance(result, Run) else _find(result)
    if _has_several(result) if run is None else run.family.count > 1:
        raise RunError(
            "result",
            "it has the draws of several models",
            "Give those of this one: result.sel(dataset=i).",
        )
    if run is not None and not has_left_memory(run):
        drawn = run.draws()
        positions, lp = drawn.positions[..., : run.density.size], drawn.stats.get("lp")
    else:
        groups = groups_of(result) if not isinstance(result, dict) else result
        positions = _read_groups(density, groups)
        lp = groups["sample_stats"].get("lp") if "sample_stats" in groups else None
    _refuse_others(density, positions, lp)
    return np.asarray(positions)


def _has_several(result: Any) -> bool:
    groups = groups_of(result)
    if "posterior" not in groups:
        found = f"a {type(result).__name__} has no group posterior"
        raise RunError("result", found, "Give what infer.sample returned, or read from a file.")
    return SET in groups["posterior"].dims


def _find(result: Any) -> Run | None:
    try:
        return find_run(result)
    except RunError:
        return None


def _read_groups(density: LogDensity, groups: Any) -> np.ndarray:
    if UNCONSTRAINED not in groups:
        return unconstrain_all(density, read_source(groups, None, 0).values)
    pieces = [np.asarray(groups[UNCONSTRAINED][site.name]) for site in density.latent]
    return np.concatenate([piece.reshape(*piece.shape[:2], -1) for piece in pieces], axis=-1)


def _refuse_others(density: LogDensity, positions: np.ndarray, lp: Any) -> None:
    """Raise if the model's log density at the newest draws is not the one recorded with them."""
    size = positions.shape[-1]
    if size != density.size:
        raise RunError(
            "result",
            f"its draws have {size} free numbers, and the model has {density.size}",
            "Give the model that was sampled.",
        )
    if lp is None:
        return
    recorded, own = np.asarray(lp)[:, -1], evaluate(density, positions[:, -1])
    far = np.median(np.abs(own - recorded) - FAR_RELATIVE * np.abs(recorded))
    if not far <= FAR:
        raise RunError(
            "result",
            f"the model's log density at its last draws differs from the one recorded there, by a "
            f"median of {far:.3g} nats",
            "Give the model that was sampled, with its data. If it has unit vectors or angles, "
            'sample with include="unconstrained_posterior", or give the object that infer.sample '
            "returned.",
        )
