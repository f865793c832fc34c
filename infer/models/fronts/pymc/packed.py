"""Packed Cholesky factors, as PyMC's `LKJCholeskyCov` has them, and the map onto them."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from bijectors.base import Image, Shape, VectorBijector, VectorConstraint, bijection


class PackedCholesky(VectorConstraint):
    """Rows of lower-triangular matrices with a positive diagonal, one after the other."""

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        diagonal = value[..., find_diagonal(value.shape[-1])]
        return (diagonal > 0).all(-1) & jnp.isfinite(value).all(-1)

    def own_bijector(self) -> "ExpDiagonal":
        return ExpDiagonal()


class ExpDiagonal(VectorBijector):
    """x = exp(y) on the diagonal and x = y beside it; the log-determinant is the sum of those y.

    Source: PyMC's CholeskyCovPacked.
    """

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "n"]) -> Image:
        diagonal = find_diagonal(y.shape[0])
        return bijection(y.at[diagonal].set(jnp.exp(y[diagonal])), y[diagonal].sum())

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        diagonal = find_diagonal(x.shape[0])
        return x.at[diagonal].set(jnp.log(x[diagonal]))


def find_diagonal(length: int) -> np.ndarray:
    """List where the diagonal is in a packed matrix of n (n + 1) / 2 entries."""
    size = (int(np.sqrt(8 * length + 1)) - 1) // 2
    return np.cumsum(np.arange(1, size + 1)) - 1
