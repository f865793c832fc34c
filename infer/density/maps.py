"""Compare the maps of a density with their inverses, and log-determinants with derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..errors import ModelError
from ..programs.native import call_compiled
from ..types import Vector
from .base import LogDensity
from .slices import find_slices

# Largest error of a coordinate after a round trip.
LARGEST_ERROR = 1e-3
# Largest error of a log-determinant in nats: the density is off by a percent.
LARGEST_LOG_DET_ERROR = 0.01
# Largest condition of a Jacobian. Beyond it, rounding to single precision (6e-8) may change a
# singular value by a part of 6e-4, and many of them the log-determinant by more than the above.
LARGEST_CONDITION = 1e4
# Largest size of a density whose maps are differentiated: the cost grows with its square, and most
# formulae are the same in any dimension.
MOST_DIFFERENTIATED = 100

MEND = "Check the map with bijectors.check_bijector."


def check_maps(density: LogDensity, point: Vector) -> str:
    """Compare a point with its round trip, and log-determinants with those of derivatives.

    Args:
        density: The log density, with the log-determinants.
        point: Where, shape (size,).

    Returns:
        What was found, in words.

    Raises:
        ModelError: A value lies outside its set, a site does not survive the round trip, or a
            log-determinant is wrong.
    """
    found = f"largest error {_measure_round_trip(density, point):.1e}"
    if not density.gradient:
        return f"{found}; log-determinants not compared: no gradient"
    if density.size > MOST_DIFFERENTIATED:
        return f"{found}; log-determinants not compared: {density.size} coordinates"
    _refuse_wrong_log_det(density, point)
    return found


def _measure_round_trip(density: LogDensity, point: Vector) -> float:
    """Return the largest error of a coordinate; `unconstrain` checks that values are members.

    A map with a free coordinate, such as one onto angles, keeps values, but not points: it has the
    same value at the point, at its round trip, and halfway between. For such sites the error is
    that of the values. A map that is many-to-one, such as a square, has another value halfway.

    Raises:
        ModelError: The coordinates of a site change, and so does its value.
    """
    values = call_compiled(_constrain, density, point)
    there = density.unconstrain({site.name: values[site.name] for site in density.latent})
    errors = np.abs(np.asarray(there) - np.asarray(point))
    if np.all(errors < LARGEST_ERROR):
        return float(errors.max(initial=0.0))
    others = [call_compiled(_constrain, density, q) for q in (there, (there + point) / 2)]
    for site, own in zip(density.latent, find_slices(density.latent).values(), strict=True):
        if np.all(errors[own] < LARGEST_ERROR):
            continue
        of_values = max(_relative_error(o[site.name], values[site.name]) for o in others)
        if not of_values < LARGEST_ERROR:
            worst = own.start + int(np.argmax(~(errors[own] < LARGEST_ERROR)))
            found = f"it changes by {errors[worst]:.1e} in a round trip"
            raise ModelError(density.labels()[worst], found, MEND)
        errors[own] = of_values
    return float(errors.max())


def _relative_error(found: Array, wanted: Array) -> float:
    """Return the largest error of an entry, relative to entries above one in magnitude."""
    one, other = np.asarray(found), np.asarray(wanted)
    return float(np.max(np.abs(one - other) / np.maximum(np.abs(other), 1.0), initial=0.0))


def _refuse_wrong_log_det(density: LogDensity, point: Vector) -> None:
    """Compare log-determinants with those of derivatives, for maps onto sets of full dimension.

    Raises:
        ModelError: That of a site is wrong by more than `LARGEST_LOG_DET_ERROR`.
    """
    jacobians, given = jax.tree.map(np.asarray, call_compiled(_differentiate, density, point))
    slices = find_slices(density.latent)
    for name, rows in jacobians.items():
        own = rows[:, slices[name]].astype(float)
        # A map with a free coordinate, such as one onto a sphere, has a singular Jacobian.
        if own.shape[0] != own.shape[1] or np.linalg.cond(own) > LARGEST_CONDITION:
            continue
        found = float(np.linalg.slogdet(own)[1])
        if abs(found - given[name]) > LARGEST_LOG_DET_ERROR:
            what = f"its map has the log-determinant {given[name]:.4g}, but its derivatives"
            raise ModelError(name, f"{what} give {found:.4g}", MEND)


def _differentiate(density: LogDensity, point: Vector) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the Jacobian of each real site, shape (numbers, size), and log-determinants in nats.

    They are differentiated as samplers do it: a map with a derivative of the user's own may have no
    other.
    """

    def flatten(q: Vector) -> dict[str, Array]:
        values = density.constrain(q)
        flat = {site.name: jnp.ravel(values[site.name]) for site in density.latent}
        return {name: own for name, own in flat.items() if own.size and not jnp.iscomplexobj(own)}

    differentiate = jax.jacfwd if density.gradient == "forward" else jax.jacrev
    return differentiate(flatten)(point), density.log_dets(point)


def _constrain(density: LogDensity, point: Vector) -> dict[str, Array]:
    return density.constrain(point)
