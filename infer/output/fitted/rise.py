"""Look for a direction in which a log density rises from a stationary point, as from a saddle."""

from typing import NamedTuple

import numpy as np

from .surroundings import NEAR, Probe, list_most_changed

# Largest size for which the whole Hessian is computed, by one gradient a column. For larger sizes,
# a subspace of at most this many vectors is examined.
MAX_WHOLE, SUBSPACE = 64, 32
# Steps of the differences by which a negative eigenvalue, in units of the diagonal, must be lower
# than zero for one-sided differences to be believed.
BELIEVED = 20
# Chance that the subspace misses a direction of ascent, at which it is large enough; and vectors
# between two looks at it.
MISSED, EVERY = 0.01, 4
# Nats that a direction of ascent should gain at the points tried, and the share required.
GAINS, GAINED = np.array([1.0, 10.0, 100.0, 1000.0]), 0.3


class Rise(NamedTuple):
    """A direction in which the log density rises.

    Attributes:
        gain: Largest rise in nats at the points tried.
        along: Names of the coordinates that the direction changes most.
    """

    gain: float
    along: tuple[str, ...]


def find_rise(probe: Probe, lp: float) -> Rise | None:
    """Look for a direction in which the log density rises from a stationary point.

    The direction of largest curvature is tried: a rise that is returned was observed. For more
    than 64 coordinates, the Hessian is projected on a Krylov subspace of at most 32 vectors, so a
    rise may be missed if the Hessian is ill-conditioned.
    """
    curvature, direction = find_largest_curvature(probe)
    if not curvature > 0:
        return None
    resolution = max(NEAR, 1e3 * np.finfo(probe.center.dtype).eps * abs(lp))
    lengths = np.sqrt(2 * resolution * GAINS / curvature)
    offsets = np.concatenate([lengths, -lengths])[:, None] * direction
    values, _ = probe.evaluate(probe.center + offsets)
    gains = values - lp
    seen = np.isfinite(gains) & (gains >= GAINED * resolution * np.tile(GAINS, 2))
    if not seen.any():
        return None
    return Rise(float(gains[seen].max()), list_most_changed(probe.density, direction))


def find_largest_curvature(probe: Probe) -> tuple[float, np.ndarray]:
    """Find the direction of largest curvature, relative to its coordinates' scales.

    Returns:
        The curvature, positive if the log density rises on both sides, NaN if it is not finite; and
        the direction, shape (size,).
    """
    size = len(probe.center)
    if size > MAX_WHOLE:
        return _project_on_subspace(probe)
    ahead = probe.multiply_one_sided(np.eye(size))
    largest = _decompose(ahead)
    if largest[0] < -BELIEVED * np.cbrt(np.finfo(probe.center.dtype).eps):
        return largest
    behind = probe.multiply_one_sided(np.eye(size), -1)
    with np.errstate(all="ignore"):
        return _decompose(0.5 * (ahead + behind))


def _decompose(hessian: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the largest eigenvalue and eigenvector of a Hessian in units of its diagonal.

    Scaled to equal curvature in every coordinate, a stiff one does not hide a soft one.
    """
    with np.errstate(over="ignore"):
        hessian = 0.5 * (hessian + hessian.T)
    if not np.isfinite(hessian).all():
        return np.nan, np.zeros(len(hessian))
    diagonal = np.abs(np.diagonal(hessian))
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max() + np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(scale[:, None] * hessian * scale)
    return float(values[-1]), scale * vectors[:, -1]


def _project_on_subspace(probe: Probe) -> tuple[float, np.ndarray]:
    """Use the Krylov space of a random vector, with all its vectors orthogonalized twice.

    Source: Golub & Van Loan (2013), sections 10.1 and 10.3.
    """
    vector = np.random.default_rng(0).normal(size=len(probe.center))
    basis, images = np.empty((SUBSPACE, len(vector))), np.empty((SUBSPACE, len(vector)))
    values, vectors = np.zeros(0), np.zeros((0, 0))
    for k in range(SUBSPACE):
        for _ in range(2):
            vector = vector - (basis[:k] @ vector) @ basis[:k]
        basis[k] = vector / max(np.linalg.norm(vector), np.finfo(float).tiny)
        images[k] = vector = probe.multiply_one_sided(basis[k : k + 1])[0]
        if not np.isfinite(vector).all():
            return np.nan, vector
        if (k + 1) % EVERY == 0:
            inner = basis[: k + 1] @ images[: k + 1].T
            values, vectors = np.linalg.eigh(0.5 * (inner + inner.T))
            if _is_surely_concave(values, len(vector)):
                break
    return float(values[-1]), vectors[:, -1] @ basis[: len(values)]


def _is_surely_concave(values: np.ndarray, size: int) -> bool:
    """Return whether the subspace would have shown a direction of ascent, if there were one.

    Source: Kuczyński & Woźniakowski (1992), Estimating the largest eigenvalue by the power and
        Lanczos algorithms with a random start, theorem 4.2, for the Hessian minus its lowest
        eigenvalue: the largest eigenvalue is underestimated by more than a share of the spectrum's
        width with at most this chance.
    """
    share = (np.log(1.648 * np.sqrt(size) / MISSED) / (2 * len(values) - 1)) ** 2
    return bool(share < 1 and -(1 - share) * values[-1] > share * -values[0])
