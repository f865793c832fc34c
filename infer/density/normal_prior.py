"""Find the mean and covariance of a prior that is normal in the flat vector."""

import jax
import numpy as np
from jaxtyping import Array

from ..errors import ModelError
from ..models.protocol.site import Site
from ..programs.native import call_compiled
from ..target import NormalPrior, Target

# Priors that may be normal in the flat vector, depending on how sites depend on each other.
NORMAL = frozenset({"Normal", "MultivariateNormal"})


def find_not_normal(latent: tuple[Site, ...]) -> tuple[str, ...]:
    """List the latent sites whose prior is of a family that is never normal."""
    return tuple(site.name for site in latent if site.prior not in NORMAL)


def normal_prior(target: Target) -> NormalPrior:
    """Compute mean and covariance of a prior whose log density is quadratic.

    The Hessian of such a log density is minus the inverse covariance everywhere; this is checked
    at three points.

    Raises:
        ModelError: It is not quadratic, for example because a variance depends on another site.
    """
    points = np.random.default_rng(0).normal(size=(3, target.size))
    slopes, curvatures = call_compiled(_differentiate, target, np.zeros(target.size), points)
    curvatures = np.asarray(curvatures, np.float64)
    tolerance = np.sqrt(np.finfo(slopes.dtype).eps) * np.abs(curvatures).max()
    if not np.abs(np.diff(curvatures, axis=0)).max() <= tolerance:
        raise ModelError(
            "prior",
            "each site is normal by itself, but they are not jointly normal in the flat vector: "
            "the scale of one depends on another, or a map is nonlinear",
            "Write such sites with centered=False, give the engine a mean and a covariance, or use "
            "NUTS().",
        )
    covariance = np.linalg.inv(-curvatures[0])
    mean = covariance @ np.asarray(slopes, np.float64)
    return NormalPrior(mean, 0.5 * (covariance + covariance.T))


def _differentiate(target: Target, origin: Array, points: Array) -> tuple[Array, Array]:
    prior = lambda position: target.parts(position).prior  # noqa: E731
    return jax.grad(prior)(origin), jax.vmap(jax.hessian(prior))(points)
