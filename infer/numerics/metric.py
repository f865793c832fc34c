"""The diagonal metric: a scale for each coordinate, learned from draws and scores."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..types import Vector


class Diagonal(eqx.Module):
    """The whitening position = scale * whitened, coordinate by coordinate.

    Momenta live in the whitened space, where they are standard normal, so a new metric
    leaves them valid.
    """

    scale: Vector | Float[np.ndarray, "size"]

    def to_model(self, whitened: Vector) -> Vector:
        """Map a whitened displacement or momentum to model units."""
        return jnp.asarray(self.scale) * whitened

    def to_whitened(self, gradient: Vector) -> Vector:
        """Map a gradient with respect to the position to one in the whitened space."""
        return jnp.asarray(self.scale) * gradient


def first_scale(gradients: Float[np.ndarray, "chains size"]) -> np.ndarray:
    """Guess scales from gradients at the starts: variance 1 / |gradient|.

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, as nuts-rs starts.
    """
    # A start near a mode has hardly any gradient, which says nothing of the scale there.
    magnitude = np.clip(np.abs(gradients.astype(np.float64)), 1e-4, 1e10)
    return np.exp(-0.5 * np.log(magnitude).mean(0))


def fisher_scale(draws: np.ndarray, scores: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Compute the scales that minimise the Fisher divergence to a standard normal.

    variance = sqrt(Var draws / Var scores), pooled over all rows, in float64; for a normal
    target it is exact from two rows on. A coordinate whose variance is zero or not finite keeps its
    previous scale.

    Args:
        draws: Shape (rows, size).
        scores: Gradients of the log density there, shape (rows, size).
        previous: Scales in use, shape (size,).

    Source: Seyboldt, Carlson & Carpenter (2026), arXiv 2603.18845, section on the diagonal.
    """
    finite = np.isfinite(draws).all(-1) & np.isfinite(scores).all(-1)
    if finite.sum() < 3:
        return previous
    spread = draws[finite].astype(np.float64).var(0)
    steepness = scores[finite].astype(np.float64).var(0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = (spread / steepness) ** 0.25
    return np.where(np.isfinite(scale) & (scale > 0), np.clip(scale, 1e-10, 1e10), previous)


def as_metric(scale: np.ndarray, like: Array | np.ndarray) -> Diagonal:
    """Make a metric of host scales, in the precision of `like`."""
    return Diagonal(np.asarray(scale, like.dtype))
