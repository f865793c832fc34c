"""The metric that warm-up learned, as arrays that reproduce it."""

import numpy as np
import xarray

from ...numerics.hamiltonian import HamiltonianTuning
from ...numerics.metric import Diagonal, LowRank, Metric
from ...run.run import Run

# Name of the dimension of the flat unconstrained vector.
FLAT = "unconstrained"


def describe_metric(run: Run, sets: tuple[str, ...]) -> xarray.Dataset:
    """Describe the inverse metric (the inverse mass matrix) that all chains share.

    It is L L^T, and the whitening that the sampler applies is

        L = diag(scale) (I + U diag(stretch - 1) U^T)

    with `inverse_metric_scale`, one number for each entry of the flat unconstrained vector; the
    columns of U, `inverse_metric_directions`, which are orthonormal; and `inverse_metric_stretch`,
    one number for each column. The step size is in units of the whitened space. The last two are
    absent from a diagonal metric. Each array is repeated for every chain, without taking memory, so
    that `arviz.concat` joins the chains of two results.

    Args:
        run: A run; without a metric, the dataset is empty.
        sets: Name of the dimension of several data sets, if there are several.
    """
    tuning = run.tuning
    shared = tuning if isinstance(tuning, HamiltonianTuning) else getattr(tuning, "shared", None)
    metric = getattr(shared, "metric", None)
    lead = ("chain", *sets)
    arrays = {
        name: ((*lead, *axes), np.broadcast_to(a, (run.chains // run.family.count, *a.shape)))
        for name, (axes, a) in _list_arrays(metric).items()
    }
    return xarray.Dataset(arrays)


def _list_arrays(metric: Metric | None) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """List the names of the last axes of each array, and the array."""
    if isinstance(metric, Diagonal):
        return {"inverse_metric_scale": ((FLAT,), np.asarray(metric.scale))}
    if not isinstance(metric, LowRank):
        return {}
    scale, excess = _list_arrays(metric.diagonal), np.asarray(metric.excess)
    # The directions are sorted by stretch, and padded with zeros.
    used = int((excess != 0).sum(-1).max(initial=0))
    if not used:
        return scale
    directions = np.asarray(metric.directions)[..., :used]
    return scale | {
        "inverse_metric_directions": ((FLAT, "direction"), directions),
        "inverse_metric_stretch": (("direction",), 1 + excess[..., :used]),
    }
