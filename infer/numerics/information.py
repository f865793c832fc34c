"""The information at a point of a log density: minus its Hessian, whole or its diagonal."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..target import Target
from ..types import Vector
from .keys import GENERATOR

# Hessian products that are computed together.
BATCH = 16
# Coordinates up to which the diagonal is exact, and random signs from which a longer one is
# estimated.
EXACT, SIGNS = 5000, 256


class Curvature(NamedTuple):
    """The information matrix, decomposed in units in which its diagonal is 1.

    Attributes:
        information: Minus the Hessian of the log density, shape (size, size).
        scale: Units of the coordinates, shape (size,).
        eigenvalues: Eigenvalues of the scaled matrix, the lowest first.
        eigenvectors: Shape (size, size).
    """

    information: np.ndarray
    scale: np.ndarray
    eigenvalues: np.ndarray
    eigenvectors: np.ndarray

    @property
    def is_definite(self) -> bool:
        """Whether it is positive definite, beyond rounding."""
        size = len(self.scale)
        floor = size * np.finfo(self.information.dtype).eps
        return bool(np.isfinite(self.eigenvalues).all() and (self.eigenvalues > floor).all())

    @property
    def root(self) -> np.ndarray:
        """A matrix whose product with its transpose is the inverse, shape (size, size)."""
        return self.scale[:, None] * self.eigenvectors / np.sqrt(self.eigenvalues)

    @property
    def log_det(self) -> float:
        """Logarithm of the determinant of the information."""
        return float(np.log(self.eigenvalues).sum() - 2 * np.log(self.scale).sum())

    def list_flat(self, labels: list[str]) -> tuple[str, ...]:
        """Name the coordinates that the direction of lowest curvature changes most.

        If second derivatives are not finite, name those whose second derivatives are not.
        """
        if not np.isfinite(self.eigenvalues).all():
            lost = ~np.isfinite(np.diagonal(self.information))
            lost = lost if lost.any() else ~np.isfinite(self.information).all(0)
            return tuple(labels[i] for i in np.flatnonzero(lost))
        change = np.abs(self.eigenvectors[:, 0])
        return tuple(labels[i] for i in np.flatnonzero(change >= 0.5 * change.max()))


def multiply_hessian(target: Target, position: Vector, direction: Vector) -> Vector:
    """Multiply the Hessian of the log density by a vector: forward over reverse."""
    return jax.jvp(lambda q: target.evaluate(q)[1], (position,), (direction,))[1]


def compute_hessian(target: Target, position: Vector) -> Float[Array, "size size"]:
    """Compute the Hessian by one product for each coordinate."""
    eye = jnp.eye(len(position), dtype=position.dtype)
    column = lambda direction: multiply_hessian(target, position, direction)  # noqa: E731
    return jax.lax.map(column, eye, batch_size=BATCH)


def count_products(size: int) -> int:
    """Return how many Hessian products `estimate_diagonal` takes."""
    return size if size <= EXACT else SIGNS


def estimate_diagonal(target: Target, position: Vector) -> Vector:
    """Compute the diagonal of the Hessian; for more than 5000 coordinates, estimate it.

    The estimate is exact for a diagonal Hessian, and otherwise has a standard deviation of the
    norm of the rest of each row, over 16.

    Source: Bekas, Kokiopoulou & Saad (2007), An estimator for the diagonal of a matrix, eq. 2.
    """
    size, dtype = len(position), position.dtype
    if size > EXACT:

        def sample(key: Array) -> Vector:
            signs = jax.random.rademacher(key, (size,), dtype)
            return signs * multiply_hessian(target, position, signs)

        keys = jax.random.split(jax.random.key(0, impl=GENERATOR), SIGNS)
        return jax.lax.map(sample, keys, batch_size=BATCH).mean(0)

    def entry(k: Array) -> Array:
        unit = (jnp.arange(size) == k).astype(dtype)
        return multiply_hessian(target, position, unit)[k]

    return jax.lax.map(entry, jnp.arange(size), batch_size=BATCH)


def decompose_information(hessian: np.ndarray) -> Curvature:
    """Decompose the information, given the Hessian of the log density, shape (size, size)."""
    information = -0.5 * (hessian + hessian.T)
    with np.errstate(all="ignore"):
        diagonal = np.abs(np.diagonal(information)).astype(float)
        least = np.finfo(float).tiny + 1e-300 * np.nan_to_num(diagonal).max()
        scale = 1 / np.sqrt(np.maximum(diagonal, least))
        scaled = scale[:, None] * information.astype(float) * scale
    if not np.isfinite(scaled).all():
        unknown = np.full(len(scale), np.nan)
        return Curvature(information, scale, unknown, np.full(hessian.shape, np.nan))
    return Curvature(information, scale, *np.linalg.eigh(scaled))
