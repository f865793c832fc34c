"""The metric that warm-up learned, as arrays that reproduce it."""

import numpy as np
import xarray

from ..numerics.hamiltonian import HamiltonianTuning
from ..numerics.metric import Diagonal, LowRank
from ..run.run import Run

# Name of the dimension of the flat unconstrained vector.
FLAT = "unconstrained"


def describe_metric(run: Run, sets: tuple[str, ...]) -> xarray.Dataset:
    """Describe the inverse metric (the inverse mass matrix) that all chains share.

    It is L L^T, and the whitening that the sampler applies is

        L = diag(scale) (I + U diag(stretch - 1) U^T)

    with `inverse_metric_scale`, one number for each entry of the flat unconstrained vector; the
    columns of U, `inverse_metric_directions`, which are orthonormal; and `inverse_metric_stretch`,
    one number for each column. The step size is in units of the whitened space. The last two are
    absent from a diagonal metric.

    Args:
        run: A run; without a metric, the dataset is empty.
        sets: Name of the dimension of several data sets, if there are several.
    """
    tuning = run.tuning
    shared = tuning if isinstance(tuning, HamiltonianTuning) else getattr(tuning, "shared", None)
    metric = getattr(shared, "metric", None)
    if isinstance(metric, Diagonal):
        return xarray.Dataset({"inverse_metric_scale": ((*sets, FLAT), np.asarray(metric.scale))})
    if not isinstance(metric, LowRank):
        return xarray.Dataset()
    excess = np.asarray(metric.excess)
    # The directions are sorted by stretch, and padded with zeros.
    used = int((excess != 0).sum(-1).max(initial=0))
    scale = {"inverse_metric_scale": ((*sets, FLAT), np.asarray(metric.diagonal.scale))}
    if not used:
        return xarray.Dataset(scale)
    directions = np.asarray(metric.directions)[..., :used]
    return xarray.Dataset(
        scale
        | {
            "inverse_metric_directions": ((*sets, FLAT, "direction"), directions),
            "inverse_metric_stretch": ((*sets, "direction"), 1 + excess[..., :used]),
        }
    )
