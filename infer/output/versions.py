"""The one place that knows which ArviZ is installed: 0.x or 1.x."""

from collections.abc import Mapping
from typing import Any

import arviz
import numpy as np
import xarray

HAS_DATA_TREE = int(arviz.__version__.split(".")[0]) >= 1


def as_arviz(groups: Mapping[str, xarray.Dataset], attributes: Mapping[str, Any]) -> Any:
    """Make what the installed ArviZ takes: an InferenceData (0.x) or a DataTree (1.x)."""
    if HAS_DATA_TREE:
        tree = xarray.DataTree.from_dict(dict(groups))
        tree.attrs = dict(attributes)
        return tree
    return arviz.InferenceData(attrs=dict(attributes), **groups)  # pyright: ignore[reportArgumentType]


def pareto_k(log_ratios: np.ndarray) -> float:
    """Estimate the Pareto shape k of importance ratios, by ArviZ.

    Source: Vehtari et al. (2024), Pareto smoothed importance sampling.
    """
    if HAS_DATA_TREE:
        from arviz_stats.base import array_stats  # pyright: ignore[reportMissingImports]

        return float(array_stats.psislw(log_ratios)[1])
    return float(arviz.psislw(log_ratios)[1])
