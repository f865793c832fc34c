"""The normal approximation of a density around a mode, by the curvature of its logarithm there."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..target import Target
from ..types import Vector
from .families.base import Distribution
from .families.full_rank import DenseNormal
from .families.low_rank import LowRankNormal
from .families.mean_field import IndependentNormal
from .information import (
    compute_hessian,
    count_products,
    decompose_information,
    estimate_diagonal,
    multiply_hessian,
)
from .lanczos import Tridiagonal, find_eigenpairs, tridiagonalize

# Lanczos steps for each direction that is kept, and the least number of them.
STEPS_EACH, LEAST_STEPS = 4, 40

Call = Callable[..., Any]


class LocalNormal(NamedTuple):
    """A normal approximation around a stationary point.

    Attributes:
        distribution: The approximation; NaN scales if the information has no inverse that is a
            covariance.
        lowest: Lowest eigenvalue that was found of the information, in units in which its
            diagonal is one; NaN if it is not finite.
        along: The direction of that eigenvalue, shape (size,), in the coordinates.
        log_scale: Logarithm of the determinant of a root of the covariance; NaN if there is none.
        products: Number of Hessian products that it took.
    """

    distribution: Distribution
    lowest: float
    along: np.ndarray
    log_scale: float
    products: int

    @property
    def is_definite(self) -> bool:
        """Whether the information is positive definite, as far as it was seen."""
        return bool(np.isfinite(self.log_scale))

    def measure_distance(self, ways: np.ndarray) -> np.ndarray:
        """Return root mean square lengths in standard deviations, shape (n,).

        Args:
            ways: Differences from the mode, shape (n, size).
        """
        normal = self.distribution
        center = np.asarray(normal.location, float)
        peak = normal.log_density_on_host(center[None])
        below = peak - normal.log_density_on_host(center + ways)
        return np.sqrt(np.maximum(2 * below, 0.0) / len(center))

    def measure_log_mass(self, lp: float) -> float:
        """Return the logarithm of the integral of the density around the mode, in nats.

        Args:
            lp: The log density at the mode, in nats.

        Source: Tierney & Kadane (1986), equation 2.2.
        """
        return lp + 0.5 * len(self.along) * np.log(2 * np.pi) + self.log_scale


def approximate_dense(call: Call, target: Target, mode: np.ndarray) -> LocalNormal:
    """Invert the whole information, from one Hessian product for each coordinate.

    Args:
        call: `call(function, *arguments)` compiles and calls a function.
        target: The log density.
        mode: The stationary point, shape (size,).
    """
    found = decompose_information(np.asarray(call(compute_hessian, target, mode)))
    along = found.scale * found.eigenvectors[:, 0]
    is_definite = found.is_definite
    root = found.root if is_definite else np.full((len(mode), len(mode)), np.nan)
    # A lower factor, like that of a fit of full rank.
    factor = np.asarray(np.linalg.qr(root.T, mode="r")).T if is_definite else root
    log_scale = -0.5 * found.log_det if is_definite else np.nan
    as_mode = lambda a: jnp.asarray(a, mode.dtype)  # noqa: E731
    normal = DenseNormal(as_mode(mode), as_mode(factor), as_mode(log_scale))
    return LocalNormal(normal, float(found.eigenvalues[0]), along, log_scale, len(mode))


def approximate_diagonal(call: Call, target: Target, mode: np.ndarray) -> LocalNormal:
    """Invert the diagonal of the information: the standard deviations of conditionals.

    They are those of the independent normal distribution that is closest to the local normal one,
    and smaller than its marginal ones.
    """
    scale, worst = _measure_scale(call, target, mode)
    unit = np.zeros(len(mode))
    unit[worst] = 1.0
    log_scale = float(np.log(scale).sum())
    normal = IndependentNormal(jnp.asarray(mode), jnp.asarray(scale, mode.dtype))
    lowest = 1.0 if np.isfinite(log_scale) else np.nan
    return LocalNormal(normal, lowest, unit, log_scale, count_products(len(mode)))


def approximate_low_rank(call: Call, target: Target, mode: np.ndarray, rank: int) -> LocalNormal:
    """Invert the diagonal of the information, and the most extreme directions in its units.

    In units in which the diagonal is one, the eigenvalues furthest from one are kept, by the ratio,
    and the others are taken for one.
    """
    size, dtype = len(mode), mode.dtype
    rank = min(rank, size)
    scale, worst = _measure_scale(call, target, mode)
    steps = min(size, max(LEAST_STEPS, STEPS_EACH * rank))
    noise = np.random.default_rng(0).normal(size=(steps, size)).astype(dtype)
    known = np.nan_to_num(scale, nan=0.0).astype(dtype)
    values, vectors = find_eigenpairs(call(_project, target, mode, known, noise))
    floor = size * np.finfo(dtype).eps
    is_definite = bool(np.isfinite(scale).all() and (values > floor).all())
    with np.errstate(all="ignore"):
        kept = np.argsort(-np.abs(np.log(values)), kind="stable")[:rank]
        stretch = 1 / np.sqrt(values[kept]) if is_definite else np.full(rank, np.nan)
        log_scale = float(np.log(scale).sum() + np.log(stretch).sum())
    along = scale * vectors[:, 0] if np.isfinite(scale).all() else np.eye(1, size, worst)[0]
    parts = (jnp.asarray(a, dtype) for a in (mode, scale, stretch, vectors[:, kept]))
    products = count_products(size) + steps
    return LocalNormal(LowRankNormal(*parts), float(values[0]), along, log_scale, products)


def _measure_scale(call: Call, target: Target, mode: np.ndarray) -> tuple[np.ndarray, int]:
    """Return standard deviations of the conditionals, NaN if there is none, and the worst place."""
    diagonal = -np.asarray(call(estimate_diagonal, target, mode), float)
    usable = np.isfinite(diagonal) & (diagonal > 0)
    scale = 1 / np.sqrt(np.where(usable, diagonal, np.nan))
    return scale, int(np.argmin(np.where(np.isfinite(diagonal), diagonal, -np.inf)))


def _project(
    target: Target, mode: Vector, scale: Vector, noise: Float[Array, "steps size"]
) -> Tridiagonal:
    """Project the information, in units of `scale`, on a Krylov space."""

    def multiply(vector: Vector) -> Vector:
        return -scale * multiply_hessian(target, mode, scale * vector)

    return tridiagonalize(multiply, noise)


def list_most_changed(along: np.ndarray) -> tuple[int, ...]:
    """List the coordinates that a direction changes at least half as much as any other."""
    change = np.abs(np.nan_to_num(along))
    order = np.argsort(-change, kind="stable")
    return tuple(int(i) for i in order[change[order] >= 0.5 * change.max()])
