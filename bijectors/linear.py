"""Linear maps of vectors: triangular matrices and permutations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .base import Bijector, Image, Shape, as_parameter, bijection


class Triangular(Bijector):
    """x = location + factor @ y, factor lower-triangular without zeros on its diagonal.

    The log-determinant is the sum of the logarithms of the diagonal's absolute values.
    By-product: `standardised` = y.
    """

    location: Float[Array, "n"] | Float[np.ndarray, "n"]
    factor: Float[Array, "n n"] | Float[np.ndarray, "n n"]

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "n"]) -> Image:
        location, factor = as_parameter(self.location, y), as_parameter(self.factor, y)
        log_det = jnp.log(jnp.abs(jnp.diagonal(factor))).sum()
        return bijection(location + jnp.tril(factor) @ y, log_det, standardised=y)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        location, factor = as_parameter(self.location, x), as_parameter(self.factor, x)
        return jax.scipy.linalg.solve_triangular(factor, x - location, lower=True)


class Permute(Bijector):
    """x_i = y_{order_i}, with log-determinant 0."""

    order: tuple[int, ...] = eqx.field(static=True)

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "n"]) -> Image:
        return bijection(y[np.array(self.order)], jnp.zeros((), y.dtype))

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        return x[np.argsort(self.order)]
