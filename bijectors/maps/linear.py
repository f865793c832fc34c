"""Linear maps of vectors: triangular matrices and permutations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..base import Image, Vectorwise, bijection, cast_like


class Triangular(Vectorwise):
    """x = location + factor @ y, with a lower-triangular factor without zeros on its diagonal.

    The log-determinant is the sum of the logarithms of |factor_ii|.
    By-product: `standardized` = y.
    """

    location: Float[Array, "n"] | Float[np.ndarray, "n"]
    factor: Float[Array, "n n"] | Float[np.ndarray, "n n"]

    def image(self, y: Float[Array, "n"]) -> Image:
        location, factor = cast_like(self.location, y), cast_like(self.factor, y)
        log_det = jnp.log(jnp.abs(jnp.diagonal(factor))).sum()
        return bijection(location + jnp.tril(factor) @ y, log_det, standardized=y)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        location, factor = cast_like(self.location, x), cast_like(self.factor, x)
        return jax.scipy.linalg.solve_triangular(factor, x - location, lower=True)


class Permute(Vectorwise):
    """x_i = y_j with j entry i of `order`, with log-determinant 0."""

    order: tuple[int, ...] = eqx.field(static=True)

    def image(self, y: Float[Array, "n"]) -> Image:
        order = np.array(self.order)
        return Image.of(_gather(y, order, np.argsort(order)))

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        order = np.array(self.order)
        return _gather(x, np.argsort(order), order)


def _gather(vector: Array, order: np.ndarray, back: np.ndarray) -> Array:
    """Return `vector[order]`, with indexing by `back` as its transpose.

    The transpose of plain indexing is a scatter, which is slow on accelerators and which XLA
    cannot compile into a native loop.
    """
    return jax.lax.custom_linear_solve(
        lambda x: x[back], vector, lambda _, b: b[order], lambda _, b: b[back]
    )
