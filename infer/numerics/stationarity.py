"""Whether a stochastic ascent still moves, judged by the epochs of its last windows."""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Array

from ..types import Scalar

# A gain in the ELBO that is smaller than this many standard errors is noise.
ERRORS = 2.0
# Mean gradient of the log density in units of the approximation, such as its standard deviations,
# above which parameters that do not move are not at an optimum.
LARGEST_SLOPE = 1.0
# Windows at one rate, of which the later half must have an ELBO that is no higher. With fewer, a
# slow rise is taken for noise.
LEVEL_WINDOWS = 10


def measure_movement(means: np.ndarray, log_sds: np.ndarray) -> tuple[float, float]:
    """Return the largest change between the halves of a window, and its standard error.

    Args:
        means: Means of each epoch, shape (epochs, size); changes are in standard deviations.
        log_sds: Logarithms of the standard deviations, likewise.
    """
    # A diverged fit may overflow here; its ELBO reports it.
    with np.errstate(all="ignore"):
        series = np.concatenate([means / np.exp(log_sds.mean(0)), log_sds], -1)
        first, last = np.split(series[: 2 * (len(series) // 2)], 2)
        # Successive differences separate noise from drift (von Neumann et al. 1941).
        variance = 0.5 * (np.diff(series, axis=0) ** 2).mean(0) * 2 / len(first)
        return float(np.abs(last.mean(0) - first.mean(0)).max()), float(np.sqrt(variance.max()))


def is_noise(
    read_moments: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    chains: Iterable[np.ndarray],
    elbos: Array | np.ndarray,
    tolerance: float,
) -> tuple[bool, float]:
    """Return whether parameters move by noise alone, and their largest movement or its error.

    Args:
        read_moments: Returns means and logarithms of standard deviations of packed distributions.
        chains: The packed distributions of each chain, shape (epochs, width).
        elbos: As for `has_levelled`.
        tolerance: Smaller changes count as noise.
    """
    # A diverged fit may overflow here; its ELBO reports it.
    with np.errstate(all="ignore"):
        found = [measure_movement(*read_moments(own)) for own in chains]
    # Unlike max, np.max passes NaN on.
    change, noise = np.max(found, axis=0).tolist()
    is_still = change <= max(tolerance, 3 * noise)
    return is_still or (np.isfinite(change) and has_levelled(elbos)), max(change, noise)


def has_levelled(elbos: Array | np.ndarray) -> bool:
    """Return whether the ELBO has stopped rising, up to noise, over all of some windows.

    Parameters that then still move are moved by the noise of their steps. If they forget it slowly,
    as those of a covariance of hundreds of coordinates do, they wander within a window, and it
    seems that they drift.

    Args:
        elbos: Mean ELBO of each window in nats, an even number; NaN if it was not made.
    """
    known = np.asarray(elbos)
    return bool(np.isfinite(known).all()) and not has_risen(*np.split(known, 2))


def has_risen(before: np.ndarray, after: np.ndarray) -> bool:
    """Return whether the mean of a noisy series has risen by more than its standard error.

    Values that are not finite are left out; if fewer than two are left in a window, a rise cannot
    be excluded.

    Args:
        before: Values of the window before, shape (epochs,).
        after: Values of the last window.
    """
    before, after = (window[np.isfinite(window)] for window in (before, after))
    if min(len(before), len(after)) < 2:
        return True
    with np.errstate(all="ignore"):
        variance = before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after)
        return bool(after.mean() - before.mean() > ERRORS * np.sqrt(variance))


def is_level(slopes: np.ndarray) -> bool:
    """Return whether mean gradients vanish, up to noise, in at least one epoch of a window.

    Otherwise parameters that do not move have steps that are lost to rounding: in single precision
    a mean of 24 does not change by 1e-6.

    Args:
        slopes: Largest entry of the mean gradient of each epoch.
    """
    return bool(slopes.min() <= LARGEST_SLOPE)


def measure_slowness(rate: np.ndarray | Scalar, first: float) -> float:
    """Return a learning rate relative to the first one: a power of two in any precision."""
    rate = np.asarray(rate)
    return float(rate / np.asarray(first, rate.dtype))
