"""The covariance that matches scores: the S of S U S + S = V, for U and V - I of low rank."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..types import Scalar, Vector
from .native_call import call_natively
from .small_matrices import (
    Inverse,
    Square,
    invert_positive,
    matrix_root,
    root_of_identity_plus,
    sum_squares,
)

# Larger scores, by their Frobenius norm, are scaled down, for the sake of single precision; such a
# step still divides standard deviations by up to thirty.
STIFFEST = 1000.0

Rows = Float[Array, "rows size"]


class Match(NamedTuple):
    """A factor T of S = T T^T, as the identity plus a matrix of low rank.

    T = (I + spread^T widen) (I - shrink^T narrow).

    Attributes:
        spread: Shape (rows, size); like all that follows, but for the last.
        widen: With `spread` the root of V.
        shrink: The scores in the coordinates of that root, divided.
        narrow: With `shrink` the root of what is left.
        log_det: Logarithm of the determinant of T.
    """

    spread: Rows
    widen: Rows
    shrink: Rows
    narrow: Rows
    log_det: Scalar

    @property
    def columns(self) -> Float[Array, "size columns"]:
        """By what a factor must be multiplied; see `change`."""
        return jnp.concatenate([self.spread, self.shrink]).T

    def change(self, products: Float[Array, "size columns"]) -> tuple[Array, Array]:
        """Return left and right with factor @ T = factor + left @ right.

        Args:
            products: The factor times `columns`.
        """
        wide, rest = products[:, : len(self.spread)], products[:, len(self.spread) :]
        rest = rest + wide @ (self.widen @ self.shrink.T)
        left = jnp.concatenate([wide, rest], 1)
        return left, jnp.concatenate([self.widen, -self.narrow])

    def multiply(self, vector: Vector) -> Vector:
        """Multiply S by a vector."""
        inner = vector + self.widen.T @ (self.spread @ vector)
        inner = inner - self.narrow.T @ (self.shrink @ inner)
        outer = inner - self.shrink.T @ (self.narrow @ inner)
        return outer + self.spread.T @ (self.widen @ outer)


def match_scores(spread: Rows, scores: Rows) -> Match:
    """Solve S U S + S = V for V = I + spread^T spread and U = scores^T scores.

    The solution is positive definite, whatever the rows. It costs products with the rows, and
    decompositions of matrices of their number alone.

    Source: Cai et al. (2024), arXiv 2402.14758, equation 9 and its form of low rank.
    """
    scores = scores * jnp.minimum(1.0, STIFFEST / jnp.sqrt(sum_squares(scores)))
    eye = jnp.eye(spread.shape[0], dtype=spread.dtype)
    widening = call_natively(root_of_identity_plus, eye + spread @ spread.T)
    widen = widening.core @ spread
    scores = scores + (scores @ spread.T) @ widen
    # In the coordinates of the root of V, S = I - scores^T K^-2 scores, and K K^-1 scores scores^T
    # K^-1 = K - I, so that the Gram matrix of the root is K^-1.
    inverse, log_det = call_natively(_invert_root, scores @ scores.T)
    shrink = inverse @ scores
    shrinking = call_natively(root_of_identity_plus, inverse)
    narrow = shrinking.core @ shrink
    return Match(spread, widen, shrink, narrow, widening.log_det - 0.5 * log_det)


def _invert_root(gram: Square) -> Inverse:
    """Return the inverse of K = I / 2 + (gram + I / 4)^(1/2)."""
    eye = jnp.eye(len(gram), dtype=gram.dtype)
    return invert_positive(0.5 * eye + matrix_root(gram + 0.25 * eye))
