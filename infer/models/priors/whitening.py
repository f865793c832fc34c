"""Maps by location and factor of a multivariate normal: whitened, partly, or not at all."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from bijectors.base import Image, Vectorwise, bijection, cast_like


class _ByFactor(Vectorwise):
    """A map of the entries of a vector by a triangular matrix."""

    @property
    def parameter_ndims(self) -> int:
        return 2


class VectorNonCentering(_ByFactor):
    """x = location + factor @ y, for a multivariate normal; by-products as in `NonCentering`.

    Attributes:
        location: Shape (*batch, n, 1), a column, so that its rank is that of `factor`.
        factor: Lower Cholesky factor of the covariance, shape (*batch, n, n).
    """

    location: Float[Array, "*#batch n 1"]
    factor: Float[Array, "*#batch n n"]

    def image(self, y: Float[Array, "n"]) -> Image:
        log_det = jnp.log(jnp.diagonal(self.factor)).sum()
        value = self.location[:, 0] + self.factor @ y
        return bijection(value, log_det, non_centered=y)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        centered = x - self.location[:, 0]
        return _substitute(self.factor, centered)


class PartialWhitening(_ByFactor):
    """x = location + F (y - c * location), F = S^(1 - c) (c I + (1 - c) R), for a factor L = S R.

    S are the standard deviations and R is the Cholesky factor of the correlations. The vector is
    whitened for c = 0 and itself for c = 1. For a diagonal L this is the map of `PartialCentering`.

    The by-product `non_centered` is L^-1 (x - location). It is y itself for c = 0, and x is y
    itself for c = 1, because L may be nearly singular.

    Attributes:
        location: Location of the prior, a column of shape (*batch, n, 1).
        factor: L, shape (*batch, n, n). Its upper triangle is not used, as in the log density.
        degree: The degree of centering c, from 0 to 1, equal for all entries of a vector; a
            column as well.
    """

    location: Float[Array, "*#batch n 1"]
    factor: Float[Array, "*#batch n n"]
    degree: Float[Array, "*#batch n 1"]

    def image(self, y: Float[Array, "n"]) -> Image:
        location, factor, scale, c = self._parameters(y)
        rest = y - c * location
        power = scale**-c
        away = power * (c * scale * rest + (1 - c) * (factor @ rest))
        value = jnp.where(c == 1, y, location + away)
        # Entries that are not needed are zero, so that they have a derivative.
        known = jnp.where(c == 0, 0, value - location)
        white = jnp.where(c == 0, y, _substitute(factor, known))
        diagonal = c * scale + (1 - c) * jnp.diagonal(factor)
        return bijection(value, jnp.log(power * diagonal).sum(), non_centered=white)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        location, factor, scale, c = self._parameters(x)
        between = jnp.diag(c * scale) + (1 - c)[:, None] * factor
        rest = _substitute(between, scale**c * (x - location))
        return jnp.where(c == 1, x, rest + c * location)

    def _parameters(self, like: Array) -> tuple[Array, Array, Array, Array]:
        """Return location, factor, standard deviations and degree."""
        location, degree = (cast_like(a, like)[:, 0] for a in (self.location, self.degree))
        factor = jnp.tril(cast_like(self.factor, like))
        return location, factor, jnp.sqrt((factor**2).sum(-1)), degree


def as_columns(entries: Array, factor: Array) -> Array:
    """Return numbers for each entry of a vector, or one for all, as columns."""
    lead = entries.shape[:-1] if entries.ndim else ()
    return jnp.broadcast_to(entries, (*lead, factor.shape[-1]))[..., None]


def _substitute(factor: Array, right: Array) -> Array:
    """Solve with a lower triangular factor, in the wider of the two precisions."""
    dtype = jnp.result_type(factor, right)
    matrices = factor.astype(dtype), right.astype(dtype)[:, None]
    return jax.lax.linalg.triangular_solve(*matrices, left_side=True, lower=True)[:, 0]
