"""The metric that warm-up learned, as coordinates that reproduce it."""

from dataclasses import replace
from typing import Any

import numpy as np
import xarray

from ...models.inputs.names import join_names
from ...numerics.hamiltonian import HamiltonianTuning
from ...numerics.hierarchical import Hierarchical, hold
from ...numerics.metric import Diagonal, LowRank, Metric
from ...run.run import Run
from ...run.tuned import is_held

# Name of the dimension of the flat unconstrained vector.
FLAT = "unconstrained"
# Name of the dimension of the directions that are stretched.
DIRECTION = "direction"
# Name of the dimension of the coordinates that one depends on.
PARENT = "parent"
# Maximum number of coordinates that are named.
MAX_NAMED = 5


def describe_metric(run: Run, sets: tuple[str, ...]) -> xarray.Dataset:
    """Describe the inverse metric (the inverse mass matrix) that all chains share.

    It is L L^T, and the whitening that the sampler applies is

        L = diag(scale) (I + U diag(stretch - 1) U^T)

    with `inverse_metric_scale`, one number for each entry of the flat unconstrained vector; the
    columns of U, `inverse_metric_directions`, which are orthonormal; and `inverse_metric_stretch`,
    one number for each column. The step size is in units of the whitened space. Sites whose
    centering is learned are in the coordinates that `centering_` says. The last two are
    absent from a diagonal metric; if no direction is stretched, there is one column of zeros with
    a stretch of 1.

    The metric of `NUTS(metric="hierarchical")` is that of y in

        x = a + L x[parents] + exp(b + bend(S x[parents])) y,

    for which there are also `metric_parents`, a row of indices for each entry of the flat vector x;
    `metric_slopes` and `metric_locations`, the rows of S and L; and `metric_log_scale` and
    `metric_offset`, b and a. For an entry that depends on no others they are zero. A log scale
    u = S x[parents] bends at `metric_bends`, t, beyond which it is constant: bend(u) is
    u - log(1 + exp(2 (u - t))) / 2. If it does not bend, t is infinite.

    They are coordinates, since `arviz.concat` joins only variables that have the dimension it is
    asked to join, `draw` as well as `chain`. Each is repeated for every chain, without taking
    memory. If results are joined that stretch different numbers of directions, the missing columns
    are NaN.

    Args:
        run: A run; without a metric, there are no coordinates.
        sets: Name of the dimension of several data sets, if there are several.
    """
    arrays = _list_arrays(_find_metric(run))
    chains, lead = run.chains // run.family.count, ("chain", *sets)
    repeated = {
        name: ((*lead, *axes), np.broadcast_to(a, (chains, *a.shape)))
        for name, (axes, a) in arrays.items()
    }
    own = arrays.get("inverse_metric_stretch")
    numbered = {} if own is None else {DIRECTION: np.arange(own[1].shape[-1])}
    return xarray.Dataset(coords=repeated | numbered)


def name_metric(run: Run) -> str:
    """Name the kind of metric that the chains share, and say why it varies; empty without one."""
    metric = _find_metric(run)
    if not isinstance(metric, Hierarchical):
        return "" if metric is None else "euclidean"
    slopes, labels = np.asarray(metric.slopes), run.density.labels()
    if slopes.ndim > 2 or not slopes.any():
        return "hierarchical"
    children, parents = np.flatnonzero(slopes.any(1)), np.unique(metric.parents[slopes != 0])
    them, others = (join_names([labels[i] for i in own], MAX_NAMED) for own in (children, parents))
    return f"hierarchical: the scale of {them} follows {others}"


def name_engine(run: Run) -> Any:
    """Return the engine with the metric that warm-up chose, if it was to choose one."""
    if getattr(run.engine, "metric", "") != "auto":
        return run.engine
    varies = isinstance(_find_metric(run), Hierarchical)
    return replace(run.engine, metric="hierarchical" if varies else "euclidean")  # pyright: ignore[reportArgumentType, reportCallIssue]


def _find_metric(run: Run) -> Metric | None:
    tuning = run.warmup.tuning
    shared = tuning if isinstance(tuning, HamiltonianTuning) else getattr(tuning, "shared", None)
    if shared is not None and is_held(run.engine, shared):
        shared = hold(shared)
    return getattr(shared, "metric", None)


def _list_arrays(metric: Metric | None) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """List the names of the last axes of each array, and the array."""
    if isinstance(metric, Diagonal):
        return {"inverse_metric_scale": ((FLAT,), np.asarray(metric.scale))}
    if isinstance(metric, Hierarchical):
        wide = {name: (FLAT, PARENT) for name in ("parents", "slopes", "locations")}
        axes = wide | dict.fromkeys(("log_scale", "offset", "bends"), (FLAT,))
        own = {f"metric_{n}": (dims, np.asarray(getattr(metric, n))) for n, dims in axes.items()}
        return _list_arrays(metric.base) | own
    if not isinstance(metric, LowRank):
        return {}
    excess = np.asarray(metric.excess)
    # The directions are sorted by stretch, and padded with zeros.
    used = int((excess != 0).sum(-1).max(initial=1))
    directions = np.asarray(metric.directions)[..., :used]
    return _list_arrays(metric.diagonal) | {
        "inverse_metric_directions": ((FLAT, DIRECTION), directions),
        "inverse_metric_stretch": ((DIRECTION,), 1 + excess[..., :used]),
    }
