"""The Lanczos process: extreme eigenpairs of a symmetric matrix, from its products with vectors."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..types import Vector


class Tridiagonal(NamedTuple):
    """The projection of a symmetric matrix on a Krylov space.

    Attributes:
        basis: Orthonormal rows, shape (steps, size).
        diagonal: Diagonal of the projected matrix, shape (steps,).
        below: Entries below it, shape (steps,); the last one is the norm of the remainder.
    """

    basis: Float[Array, "steps size"]
    diagonal: Float[Array, "steps"]
    below: Float[Array, "steps"]


def tridiagonalize(
    multiply: Callable[[Vector], Vector], noise: Float[Array, "steps size"]
) -> Tridiagonal:
    """Project a symmetric matrix; traced.

    Args:
        multiply: Multiplies the matrix by a vector.
        noise: Random rows. The first one begins the process; another replaces the next basis
            vector if the space so far is invariant, so that eigenvalues are found as often as they
            occur. There are at most as many rows as columns.

    Source: Golub & Van Loan (2013), algorithm 10.1.1, with full reorthogonalization, section 10.3.
    """
    tiny = jnp.sqrt(jnp.finfo(noise.dtype).eps)

    def step(carry: tuple[Array, Vector], k: Array) -> tuple[tuple[Array, Vector], tuple]:
        basis, vector = carry
        basis = jax.lax.dynamic_update_index_in_dim(basis, vector, k, 0)
        image = multiply(vector)
        rest = _project_out(basis, image)
        norm = jnp.linalg.norm(rest)
        is_invariant = norm <= tiny * jnp.linalg.norm(image)
        fresh = _project_out(basis, noise[(k + 1) % len(noise)])
        unit = jnp.where(is_invariant, fresh, rest)
        unit = unit / jnp.maximum(jnp.linalg.norm(unit), jnp.finfo(noise.dtype).tiny)
        return (basis, unit), (image @ vector, jnp.where(is_invariant, 0.0, norm))

    first = noise[0] / jnp.linalg.norm(noise[0])
    begun = jnp.zeros_like(noise), first
    (basis, _), (diagonal, below) = jax.lax.scan(step, begun, jnp.arange(len(noise)))
    return Tridiagonal(basis, diagonal, below)


def _project_out(basis: Array, vector: Vector) -> Vector:
    """Subtract the projection on rows that are orthonormal, or zero; twice, against rounding."""
    for _ in range(2):
        vector = vector - (basis @ vector) @ basis
    return vector


def find_eigenpairs(found: Tridiagonal) -> tuple[np.ndarray, np.ndarray]:
    """Return approximate eigenvalues, the lowest first, and eigenvectors as columns; on the host.

    Those at both ends of the spectrum converge first.
    """
    basis, diagonal, below = (np.asarray(a, float) for a in found)
    matrix = np.diag(diagonal) + np.diag(below[:-1], -1) + np.diag(below[:-1], 1)
    if not np.isfinite(matrix).all():
        return np.full(len(diagonal), np.nan), np.full(basis.T.shape, np.nan)
    values, vectors = np.linalg.eigh(matrix)
    return values, basis.T @ vectors
