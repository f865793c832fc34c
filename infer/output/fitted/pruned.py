"""Weights that an approximation can do without: those of the lowest signal-to-noise ratio."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool

from ...density.base import LogDensity
from ...density.recentered import find_centering
from ...density.slices import find_slices
from ...errors import RunError
from ...models.protocol.site import Site
from ...numerics.families.base import Distribution


def find_signal(density: LogDensity, distribution: Distribution) -> Mapping[str, np.ndarray]:
    """Return |mean| / sd of every number of the sites on the real line, by name.

    Source: Blundell et al. (2015), arXiv 1505.05424, section 5.2.
    """
    signal = np.abs(np.asarray(distribution.location)) / np.asarray(distribution.sd)
    own, centering = find_slices(density.latent), find_centering(density)
    moved = () if centering is None else [piece.name for piece in centering.pieces]
    return {
        site.name: signal[own[site.name]].reshape(site.shape)
        for site in density.latent
        if _is_on_real_line(site) and site.name not in moved
    }


def _is_on_real_line(site: Site) -> bool:
    """Return whether zero in the flat vector is the value zero."""
    return (site.constraint, site.bijector) == ("Real", "Identity")


def prune(
    positions: np.ndarray, density: LogDensity, distribution: Distribution, share: float
) -> np.ndarray:
    """Set the numbers of the lowest signal to zero; those of other sites stay as they are.

    Args:
        positions: Draws, shape (draws, size).
        density: The log density.
        distribution: The distribution they are drawn from.
        share: Share of the numbers on the real line that are set to zero.

    Raises:
        RunError: The share is not between 0 and 1, or no site is on the real line.
    """
    signal = find_signal(density, distribution)
    if not 0 <= share < 1:
        raise RunError("prune", f"{share!r} is given", "Give a share from 0 to below 1.")
    if not signal:
        raise RunError("prune", "no site of the model is on the real line", "Leave out prune=.")
    weak = _find_weak(density, signal, share)
    return np.where(weak, 0.0, positions).astype(positions.dtype)


def _find_weak(
    density: LogDensity, signal: Mapping[str, np.ndarray], share: float
) -> Bool[np.ndarray, "size"]:
    """Mark a share of the numbers, those of the lowest signal; of equal ones the first."""
    slices, every = find_slices(density.latent), np.arange(density.size)
    places = np.concatenate([every[slices[name]] for name in signal])
    order = np.argsort(np.concatenate([own.ravel() for own in signal.values()]), kind="stable")
    weak = np.zeros(density.size, bool)
    weak[places[order[: round(share * len(order))]]] = True
    return weak
