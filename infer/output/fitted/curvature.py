"""The information at a point of a model, and the standard errors that follow from it."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...errors import RunError
from ...models.inputs.names import join_names
from ...numerics.information import Curvature, compute_hessian, decompose_information
from ...programs.native import call_compiled

# Directions that are computed together.
BATCH = 16
# Largest size for which a matrix is made: 200 MB in double precision, and a minute's work.
MAX_SIZE = 5000


def measure_curvature(density: LogDensity, position: np.ndarray, call: str) -> Curvature:
    """Compute the information matrix at a position, by one Hessian product for each coordinate.

    Args:
        density: The log density; its gradient must be differentiable.
        position: Shape (size,).
        call: Who asks, for the error.

    Raises:
        RunError: The matrix would be too large.
    """
    size = len(position)
    if size > MAX_SIZE:
        raise RunError(
            call,
            f"the information matrix of {size} coordinates has {size**2:.1e} entries",
            f"Up to {MAX_SIZE} coordinates it is computed. Freeze sites, or ask "
            "infer.fit(model, infer.ADVI()) for standard deviations alone.",
        )
    hessian = call_compiled(compute_hessian, density, jnp.asarray(position), form="fast_compile")
    return decompose_information(np.asarray(hessian))


def invert_curvature(density: LogDensity, curvature: Curvature, call: str) -> np.ndarray:
    """Return a root of the inverse information: its product with its transpose, (size, size).

    Raises:
        RunError: The information is not positive definite, so that it has no inverse that is a
            covariance.
    """
    if not curvature.is_definite:
        along = curvature.list_flat(density.labels())
        lowest = curvature.eigenvalues[0]
        if np.isnan(lowest):
            raise RunError(
                call,
                f"second derivatives of the log density are not finite for {join_names(along, 3)}",
                "There is no standard error there. Look for an infinite slope, such as that of "
                "sqrt or abs at zero, or move the mode with other starts=.",
            )
        raise RunError(
            call,
            f"the information is not positive definite (lowest scaled eigenvalue {lowest:.2g}): "
            f"the log density is flat, or rises, along {join_names(along, 3)}",
            "There is no standard error along this direction. Give these sites stronger priors, "
            "or freeze one of them.",
        )
    return curvature.root


def measure_standard_errors(
    density: LogDensity, position: np.ndarray, root: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute standard errors of all latent and derived values by the delta method.

    Args:
        density: The log density.
        position: The mode, shape (size,).
        root: A root of the covariance of the flat vector, shape (size, size).

    Source: van der Vaart (1998), Asymptotic Statistics, theorem 3.1.
    """
    directions = jnp.asarray(root.T, position.dtype)
    found = call_compiled(_square_images, density, jnp.asarray(position), directions)
    names = [site.name for site in density.sites if site.role in ("latent", "derived")]
    return {name: np.sqrt(np.asarray(found[name])) for name in names if name in found}


def _square_images(density: LogDensity, position: Array, directions: Array) -> dict[str, Array]:
    """Sum the squares of the images of directions under the derivative of the values."""

    def constrain(position: Array) -> dict[str, Array]:
        values = density.constrain(position)
        return {n: a for n, a in values.items() if jnp.issubdtype(a.dtype, jnp.floating)}

    def image(direction: Array) -> dict[str, Array]:
        return jax.jvp(constrain, (position,), (direction,))[1]

    images = jax.lax.map(image, directions, batch_size=BATCH)
    return jax.tree.map(lambda a: (a**2).sum(0), images)
