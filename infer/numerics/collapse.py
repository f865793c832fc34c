"""Which coordinates of an approximation have fallen back to the prior."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..target import Moments, Target
from ..types import Vector
from .families.base import Distribution

# Draws that estimate the pull of priors that are not normal.
DRAWS = 512
# Divergence of one coordinate from the prior, in nats, below which it has fallen back.
NEGLIGIBLE = 0.01
# A fit has collapsed if nearly all of its coordinates have fallen back, and no other has moved by a
# standard deviation of its prior, which costs half a nat. Networks that fit may have 98 % of their
# weights at the prior.
SHARE, MOVED = 0.99, 0.5


def pull_of_prior(target: Target, q: Distribution, key: Array) -> tuple[Vector, Vector]:
    """Estimate the gradient of the expected log prior for means and standard deviations.

    Both are in units of the standard deviation, shape (size,); exact for normal priors.
    """

    def prior(moments: Moments, noise: Vector) -> Array:
        return target.parts(moments.mean + moments.sd * noise, moments).prior

    def add(sums: Moments, key: Array) -> tuple[Moments, None]:
        noise = jax.random.normal(key, (q.size,), q.location.dtype)
        slope = jax.grad(prior)(Moments(q.location, q.sd), noise)
        return jax.tree.map(jnp.add, sums, slope), None

    zero = Moments(jnp.zeros_like(q.location), jnp.zeros_like(q.sd))
    total, _ = jax.lax.scan(add, zero, jax.random.split(key, DRAWS))
    return q.sd * total.mean / DRAWS, q.sd * total.sd / DRAWS


def divergence_from_prior(
    mean: Float[np.ndarray, "size"], sd: Float[np.ndarray, "size"]
) -> Float[np.ndarray, "size"]:
    """Compute the divergence of each coordinate from its prior in nats, on the host.

    For N(m, s) and a prior N(a, b) the pull is (a - m) s / b^2 on the mean and -s^2 / b^2 on the
    standard deviation, which gives both ratios in the divergence. For another prior it is the
    divergence from the normal of the same pull; NaN if no normal has it.

    Args:
        mean: The pull on the means; see `pull_of_prior`.
        sd: The pull on the standard deviations.
    """
    with np.errstate(all="ignore"):
        ratio = -np.asarray(sd, np.float64)
        return 0.5 * (ratio - 1 - np.log(ratio) + np.asarray(mean, np.float64) ** 2 / ratio)


def find_collapsed(divergence: Float[np.ndarray, "size"]) -> Bool[np.ndarray, "size"]:
    """Return which coordinates have fallen back to the prior; none, if the fit has not collapsed.

    Args:
        divergence: Divergence of each coordinate from its prior, in nats.
    """
    fallen = divergence < NEGLIGIBLE
    has_moved = (divergence >= MOVED) | np.isnan(divergence)
    return fallen if fallen.mean() >= SHARE and not has_moved.any() else np.zeros_like(fallen)
