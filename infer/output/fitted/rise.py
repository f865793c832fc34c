"""Look for a direction in which a log density rises from a stationary point, or does not fall."""

from typing import NamedTuple

import numpy as np

from .surroundings import NEAR, Probe, list_most_changed, tolerance

# Largest size for which the whole Hessian is computed, by one gradient a column. For larger sizes,
# a subspace of at most this many vectors is examined.
MAX_WHOLE, SUBSPACE = 64, 32
# Steps of the differences by which a negative eigenvalue, in units of the diagonal, must be lower
# than zero for one-sided differences to be believed.
BELIEVED = 20
# Chance that the subspace misses a direction of ascent, at which it is large enough.
MISSED = 0.01
# Nats that a direction of ascent should gain at the points tried, and the share required.
GAINS, GAINED = np.array([1.0, 10.0, 100.0, 1000.0]), 0.3
# Nats, twice what a move by a coordinate itself costs, up to which a direction may be flat; and how
# far it is followed.
SOFT, FAR = 1e-2, np.array([1e3, 1e6])


class Rise(NamedTuple):
    """A direction in which the log density rises.

    Attributes:
        gain: Largest rise in nats at the points tried.
        along: Names of the coordinates that the direction changes most.
    """

    gain: float
    along: tuple[str, ...]


class Flat(NamedTuple):
    """A direction in which the log density does not fall.

    Attributes:
        is_everywhere: Whether it does not fall on either side.
        along: As in `Rise`.
    """

    is_everywhere: bool
    along: tuple[str, ...]


class Bend(NamedTuple):
    """How a log density bends at a point where it bends down least.

    Attributes:
        curvature: The largest curvature, relative to the scales of the coordinates; positive if the
            log density rises on both sides, NaN if it is not finite.
        direction: The direction of it, shape (size,).
        softest: The direction of largest curvature if each coordinate moves in units of itself, or
            of one, shape (size,).
        softness: The curvature along that, in nats.
    """

    curvature: float
    direction: np.ndarray
    softest: np.ndarray
    softness: float


def find_rise(probe: Probe, lp: float, bend: Bend) -> Rise | None:
    """Look for a direction in which the log density rises from a stationary point.

    The direction of largest curvature is tried: a rise that is returned was observed.
    """
    curvature, direction = bend.curvature, bend.direction
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


def find_flat(probe: Probe, lp: float, bend: Bend) -> Flat | None:
    """Look for a direction in which the log density does not fall, however far one goes.

    The softest direction is followed a thousand and a million times as far as each coordinate is
    from zero, or as one: flatness that is returned was observed.
    """
    if not np.abs(bend.softness) <= SOFT:
        return None
    offsets = np.concatenate([FAR, -FAR])[:, None] * bend.softest
    values, _ = probe.evaluate(probe.center + offsets)
    with np.errstate(all="ignore"):
        is_level = (np.abs(values - lp) <= tolerance(lp)).reshape(2, -1).all(1)
    if not is_level.any():
        return None
    return Flat(bool(is_level.all()), list_most_changed(probe.density, bend.softest))


def find_bend(probe: Probe) -> Bend:
    """Find the directions in which the log density bends down least.

    For more than 64 coordinates, the Hessian is projected on a Krylov subspace of at most 32
    vectors, which may miss one if the Hessian is ill-conditioned.
    """
    size = len(probe.center)
    if size > MAX_WHOLE:
        return _project_on_subspace(probe)
    ahead = probe.multiply_one_sided(np.eye(size))
    found = _decompose(probe, ahead)
    if found.curvature < -BELIEVED * np.cbrt(np.finfo(probe.center.dtype).eps):
        return found
    behind = probe.multiply_one_sided(np.eye(size), -1)
    with np.errstate(all="ignore"):
        return _decompose(probe, 0.5 * (ahead + behind))


def _decompose(probe: Probe, hessian: np.ndarray) -> Bend:
    """Find the largest eigenvalues of a Hessian in units of its diagonal, and of the coordinates.

    Scaled to equal curvature in every coordinate, a stiff one does not hide a soft one.
    """
    with np.errstate(over="ignore"):
        hessian = 0.5 * (hessian + hessian.T)
    own = _units(probe)
    if not np.isfinite(hessian).all():
        return Bend(np.nan, np.zeros(len(hessian)), own, np.nan)
    diagonal = np.abs(np.diagonal(hessian))
    scale = 1 / np.sqrt(np.maximum(diagonal, 1e-12 * diagonal.max() + np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(scale[:, None] * hessian * scale)
    with np.errstate(over="ignore"):
        scaled = own[:, None] * hessian * own
    soft, ways = np.linalg.eigh(scaled) if np.isfinite(scaled).all() else (values, vectors)
    return Bend(float(values[-1]), scale * vectors[:, -1], own * ways[:, -1], float(soft[-1]))


def _units(probe: Probe) -> np.ndarray:
    return np.maximum(1.0, np.abs(probe.center))


def _project_on_subspace(probe: Probe) -> Bend:
    """Use the Krylov space of a random vector, with all its vectors orthogonalized twice.

    Source: Golub & Van Loan (2013), sections 10.1 and 10.3.
    """
    size, precision = len(probe.center), np.finfo(probe.center.dtype).eps
    vector = np.random.default_rng(0).normal(size=size)
    basis, images = np.empty((2, SUBSPACE, size))
    inner, count = np.empty((SUBSPACE, SUBSPACE)), 0
    while count < SUBSPACE:
        rest = vector
        for _ in range(2):
            rest = rest - (basis[:count] @ rest) @ basis[:count]
        if np.linalg.norm(rest) <= np.sqrt(precision) * np.linalg.norm(vector):
            # The space is invariant, so that it has a direction of every curvature.
            break
        basis[count] = rest / np.linalg.norm(rest)
        images[count] = vector = probe.multiply_one_sided(basis[count : count + 1])[0]
        if not np.isfinite(vector).all():
            return Bend(np.nan, vector, vector, np.nan)
        row = 0.5 * (basis[: count + 1] @ vector + images[: count + 1] @ basis[count])
        inner[count, : count + 1] = inner[: count + 1, count] = row
        count += 1
        if _is_surely_concave(np.linalg.eigvalsh(inner[:count, :count]), size):
            break
    values, vectors = np.linalg.eigh(inner[:count, :count])
    direction = vectors[:, -1] @ basis[:count]
    stretch = 1 / np.max(np.abs(direction) / _units(probe))
    largest = float(values[-1])
    return Bend(largest, direction, stretch * direction, largest * stretch**2)


def _is_surely_concave(values: np.ndarray, size: int) -> bool:
    """Return whether the subspace would have shown a direction of ascent, if there were one.

    Source: Kuczyński & Woźniakowski (1992), Estimating the largest eigenvalue by the power and
        Lanczos algorithms with a random start, theorem 4.2, for the Hessian minus its lowest
        eigenvalue: the largest eigenvalue is underestimated by more than a share of the spectrum's
        width with at most this chance.
    """
    share = (np.log(1.648 * np.sqrt(size) / MISSED) / (2 * len(values) - 1)) ** 2
    return bool(share < 1 and -(1 - share) * values[-1] > share * -values[0])
