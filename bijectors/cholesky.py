"""Lower Cholesky factors: lower-triangular, with a positive diagonal."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .base import Bijector, Constraint, Image, Shape, bijection
from .elementary import (
    fill_triangle,
    inverse_softplus,
    log_softplus,
    read_triangle,
    softplus,
)


class LowerCholesky(Constraint):
    """Square matrices with zeros above the diagonal and positive numbers on it.

    The base measure is that of the entries on and below the diagonal.
    """

    @property
    def event_ndims(self) -> int:
        return 2

    def contains(self, value: Float[Array, "... k k"]) -> Bool[Array, "..."]:
        # Zero on the diagonal belongs to the set: a map reaches it by rounding.
        positive = jnp.all(jnp.diagonal(value, axis1=-2, axis2=-1) >= 0, -1)
        lower = jnp.all(jnp.triu(value, 1) == 0, (-2, -1))
        return positive & lower & jnp.all(jnp.isfinite(value), (-2, -1))

    def coordinates(self, value: Float[Array, "k k"]) -> Float[Array, "n"]:
        return read_triangle(value)


class PositiveDiagonal(Bijector):
    """Diagonal exp(y) or softplus(y), the entries below as they are.

    The log-determinant is that of the diagonal's map. By-product: `log_diagonal`.
    """

    soft: bool = eqx.field(static=True, default=False)

    @property
    def event_ndims(self) -> int:
        return 2

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        order = event_shape[0]
        return (order * (order + 1) // 2,)

    def image(self, y: Float[Array, "n"]) -> Image:
        filled = fill_triangle(y)
        own = jnp.diagonal(filled)
        diagonal = softplus(own) if self.soft else jnp.exp(own)
        log_diagonal = log_softplus(own) if self.soft else own
        log_det = -softplus(-own) if self.soft else own
        value = jnp.tril(filled, -1) + jnp.diag(diagonal)
        return bijection(value, log_det.sum(), log_diagonal=log_diagonal)

    def inverse(self, x: Float[Array, "k k"]) -> Float[Array, "n"]:
        diagonal = jnp.diagonal(x)
        own = inverse_softplus(diagonal) if self.soft else jnp.log(diagonal)
        return read_triangle(jnp.tril(x, -1) + jnp.diag(own))
