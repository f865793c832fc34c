"""A metric that depends on the position: constant in coordinates that are learned beside it.

Some coordinates have a location and a scale that depend on others, their parents (see
`dependence.py`):

    x = a + L v + exp(b + bend(S v)) y.

In the coordinates y the metric is constant, and leapfrog steps are taken there. So they are
explicit, reversible and volume-preserving, and a trajectory is one under the mass matrix
J^-T M J^-1 in x, where J is the Jacobian of the map, which depends on the position. The density of
y has the additional factor |det J|. Positions and gradients stay those of x, so nothing needs to be
carried over when the map changes.

Source: Kailas, Vihola & Wallin (2026), arXiv 2604.09832, for scales learned from squared scores,
    there in a metric that is block-diagonal in x; Seyboldt, Carlson & Carpenter (2026), arXiv
    2603.18845, for metrics that are pulled back by a learned map.
"""

from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ..errors import EngineError
from ..types import Vector
from .dependence import Dependence, bend
from .hamiltonian import HamiltonianTuning
from .learn_dependence import learn_dependence
from .metric import Metric
from .parent_search import LEVELS, MOST_PARENTS

# With more, the arrays of size (coordinates, coordinates) take hundreds of megabytes.
MOST_COORDINATES = 2000
METRICS = ("auto", "euclidean", "hierarchical")
MetricName = Literal["auto", "euclidean", "hierarchical"]


class Hierarchical(Metric):
    """A metric for coordinates y, of which some have locations and scales that depend on others.

    Attributes:
        base: The metric of y.
        parents: Indices of the parents of each coordinate; those that it lacks are 0, with zero
            coefficients.
        slopes: Coefficients S of the log scale.
        locations: Coefficients L of the location.
        offset: a; 0 for coordinates that depend on no others.
        log_scale: b, likewise.
        bends: Where the log scale bends; infinite where it does not.
    """

    base: Metric
    parents: Int[Array | np.ndarray, "*densities size parents"]
    slopes: Float[Array | np.ndarray, "*densities size parents"]
    locations: Float[Array | np.ndarray, "*densities size parents"]
    offset: Float[Array | np.ndarray, "*densities size"]
    log_scale: Float[Array | np.ndarray, "*densities size"]
    bends: Float[Array | np.ndarray, "*densities size"]

    def to_model(self, whitened: Vector) -> Vector:
        return self.base.to_model(whitened)

    def move(self, position: Vector, displacement: Vector) -> Vector:
        log_scale, location, _ = self._spread(position, jnp)
        y = (position - location) * jnp.exp(-log_scale) + displacement

        def find(_: Any, x: Vector) -> Vector:
            log_scale, location, _ = self._spread(x, jnp)
            return location + jnp.exp(log_scale) * y

        # First those that depend on none are known, then those that depend on them, and so on. XLA
        # compiles a loop faster than what it repeats.
        return jax.lax.fori_loop(0, LEVELS, find, y)

    def to_whitened(self, gradient: Vector, position: Vector) -> Vector:
        log_scale, location, follow = self._spread(position, jnp)
        parents, residual = jnp.asarray(self.parents).reshape(-1), position - location

        def pull(_: Any, pulled: Vector) -> Vector:
            passed = self._pass_on(residual, pulled, follow)
            return gradient.at[parents].add(passed.reshape(-1))

        pulled = jax.lax.fori_loop(0, LEVELS, pull, gradient)
        return self.base.to_whitened(pulled * jnp.exp(log_scale), position)

    def log_volume(self, position: Any) -> Any:
        numpy = np if isinstance(position, np.ndarray) else jnp
        return self._spread(position, numpy)[0].sum(-1)

    def learn(self, draws: np.ndarray, scores: np.ndarray) -> "Hierarchical":
        found = _with(self, learn_dependence(draws, scores))
        rows, slopes = found._rows_of(draws, scores)
        return replace(found, base=self.base.learn(rows, slopes))

    @property
    def rank(self) -> int:
        return self.base.rank

    @property
    def is_constant(self) -> bool:
        """Whether no coordinate depends on another."""
        return not (np.any(self.slopes) or np.any(self.locations))

    def whiten(self, draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.base.whiten(*self._rows_of(draws, scores))

    def _spread(self, values: Any, numpy: Any) -> tuple[Any, Any, Any]:
        """Compute log scale and location of each coordinate, from those of its parents.

        Returns:
            Log scale, location, and the derivative of the log scale with respect to S v.
        """
        known = values[..., numpy.asarray(self.parents)]
        bent, follow = bend((known * self.slopes).sum(-1), self.bends, numpy)
        return self.log_scale + bent, self.offset + (known * self.locations).sum(-1), follow

    def _pass_on(self, residual: Any, gradient: Any, follow: Any) -> Any:
        """Return what the parents of each coordinate get of its gradient; the 1 is of log |det|."""
        of_scale = (gradient * residual + 1) * follow
        return of_scale[..., None] * self.slopes + gradient[..., None] * self.locations

    def _rows_of(self, draws: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Map draws and their scores to the coordinates y, in float64."""
        draws, scores = draws.astype(np.float64), scores.astype(np.float64)
        log_scale, location, follow = self._spread(draws, np)
        pulled = scores
        for _ in range(LEVELS):
            passed, pulled = self._pass_on(draws - location, pulled, follow), scores.copy()
            for column in range(passed.shape[-1]):
                np.add.at(pulled.T, self.parents[:, column], passed[..., column].T)
        return (draws - location) * np.exp(-log_scale), pulled * np.exp(log_scale)


def check_metric(engine: str, metric: str, energy: str) -> None:
    """Raise an error if there is no such metric or it does not suit the energy."""
    if metric not in METRICS:
        raise EngineError(engine, f"metric is {metric!r}", f"Choose one of {METRICS}.")
    if metric == "hierarchical" and energy == "path":
        raise EngineError(
            engine,
            'metric="hierarchical" moves along curves, and energy="path" integrates along straight '
            "lines",
            'Leave out metric, or use energy="value".',
        )


def vary(tuning: HamiltonianTuning, size: int) -> HamiltonianTuning:
    """Let the metric of a first tuning vary; no coordinate depends on another yet.

    Raises:
        EngineError: There are too many coordinates.
    """
    if size > MOST_COORDINATES:
        raise EngineError(
            "NUTS",
            f'metric="hierarchical" compares each coordinate with all others, and there are {size}',
            f"Use it for at most {MOST_COORDINATES}, or declare priors in infer.model, so that the "
            "centering of sites is learned.",
        )
    lead, dtype = np.shape(tuning.step_size), np.asarray(tuning.step_size).dtype
    wide = (*lead, size, min(MOST_PARENTS, size))
    none, flat = np.zeros(wide, dtype), np.zeros((*lead, size), dtype)
    parents, bends = np.zeros(wide, np.int32), np.full_like(flat, np.inf)
    metric = Hierarchical(tuning.metric, parents, none, none, flat, flat, bends)
    return replace(tuning, metric=metric)


def hold(tuning: HamiltonianTuning) -> HamiltonianTuning:
    """Let the metric of a tuning be that of y, which is constant; undoes `vary`."""
    metric = tuning.metric
    return replace(tuning, metric=metric.base if isinstance(metric, Hierarchical) else metric)


def _with(metric: Hierarchical, found: Dependence) -> Hierarchical:
    """Put a dependence in the place of that of the metric."""
    dtype, count = metric.slopes.dtype, metric.slopes.shape[1]
    has = (found.slopes != 0) | (found.locations != 0)
    # Those that it has come first.
    parents = np.argsort(~has, 1, kind="stable")[:, :count]
    kept = np.take_along_axis(has, parents, 1)
    slopes, locations = (
        np.where(kept, np.take_along_axis(a, parents, 1), 0).astype(dtype) for a in found[:2]
    )
    parents = np.where(kept, parents, 0).astype(np.int32)
    each = (a.astype(dtype) for a in found[2:])
    return Hierarchical(metric.base, parents, slopes, locations, *each)
