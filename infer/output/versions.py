"""All that depends on the version of ArviZ: 0.x or 1.x."""

from collections.abc import Mapping
from typing import Any

import arviz
import numpy as np
import xarray

HAS_DATA_TREE = int(arviz.__version__.split(".")[0]) >= 1


def as_arviz(groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Any:
    """Convert groups to the type of the installed ArviZ: InferenceData (0.x) or DataTree (1.x)."""
    if HAS_DATA_TREE:
        tree = xarray.DataTree.from_dict(dict(groups))
        tree.attrs = dict(attributes)
        return tree
    return arviz.InferenceData(attrs=dict(attributes), **groups)  # pyright: ignore[reportArgumentType]


def pareto_k(log_ratios: np.ndarray) -> float:
    """Estimate the Pareto shape k of importance ratios in double precision, by ArviZ.

    For ratios that are equal up to rounding k is minus infinity; ArviZ returns no value then. If a
    ratio is infinite or NaN, or more than half of them are zero, k is infinity.

    Source: Vehtari et al. (2024), Pareto smoothed importance sampling.
    """
    ratios = np.asarray(log_ratios, np.float64)
    zero = np.isneginf(ratios)
    if not np.isfinite(ratios[~zero]).all() or zero.mean() > 0.5:
        return np.inf
    rounding = 1e-9 + 1e3 * np.finfo(np.float64).eps * float(np.abs(ratios[~zero]).max())
    if not zero.any() and np.ptp(ratios) <= rounding:
        return -np.inf
    ratios = np.where(zero, -1e30, ratios)
    if HAS_DATA_TREE:
        from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports]

        # ArviZ 1 takes log likelihoods, which are minus the log ratios of leave-one-out.
        return float(array_stats.psislw(-ratios)[1])
    return float(arviz.psislw(ratios)[1])
