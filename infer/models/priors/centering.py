"""Maps by the prior's own location and scale: non-centered and partly centered sites."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bijectors.base import Bijector, Elementwise, Image, Vectorwise, bijection
from bijectors.maps.affine import Affine

from ...errors import ModelError

# Location-scale families, each with its standard member.
STANDARD = {
    dist.Normal: lambda d: dist.Normal(0.0, 1.0),
    dist.StudentT: lambda d: dist.StudentT(d.df, 0.0, 1.0),
    dist.Cauchy: lambda d: dist.Cauchy(0.0, 1.0),
    dist.Laplace: lambda d: dist.Laplace(0.0, 1.0),
    dist.Logistic: lambda d: dist.Logistic(0.0, 1.0),
    dist.Gumbel: lambda d: dist.Gumbel(0.0, 1.0),
}
# False, or a degree of centering from 0 to 1.
Centered = bool | float | Array | np.ndarray
FAMILIES = (*STANDARD, dist.LogNormal, dist.MultivariateNormal)


class NonCentering(Elementwise):
    """x = location + scale * y, with the location and scale of the prior of x.

    The by-product `non_centered` is y. Its name is unique to these maps, since only their y has
    the standard member of the prior's family as its distribution; another `Affine`'s has not.
    """

    affine: Affine

    def image(self, y: Float[Array, ""]) -> Image:
        return self.affine.image(y)._replace(by_products={"non_centered": y})

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return self.affine.inverse(x)


class LogNonCentering(Elementwise):
    """x = exp(location + scale * y), for a log-normal prior; by-products as in `NonCentering`."""

    affine: Affine

    def image(self, y: Float[Array, ""]) -> Image:
        log = self.affine.image(y)
        return bijection(jnp.exp(log.value), log.log_det + log.value, non_centered=y)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return self.affine.inverse(jnp.log(x))


class VectorNonCentering(Vectorwise):
    """x = location + factor @ y, for a multivariate normal; by-products as in `NonCentering`.

    Attributes:
        location: Shape (*batch, n, 1), a column, so that its rank is that of `factor`.
        factor: Lower Cholesky factor of the covariance, shape (*batch, n, n).
    """

    location: Float[Array, "*batch n 1"]
    factor: Float[Array, "*batch n n"]

    @property
    def parameter_ndims(self) -> int:
        return 2

    def image(self, y: Float[Array, "n"]) -> Image:
        log_det = jnp.log(jnp.diagonal(self.factor)).sum()
        value = self.location[:, 0] + self.factor @ y
        return bijection(value, log_det, non_centered=y)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        centered = x - self.location[:, 0]
        return jax.scipy.linalg.solve_triangular(self.factor, centered, lower=True)


def centering_map(d: dist.Distribution, centered: Centered, where: str) -> Bijector:
    """Return the map of a non-centered or partly centered site.

    Args:
        d: The prior.
        centered: False for x = location + scale * y. A number c from 0 to 1, or one for each
            value, for x = location + scale^(1 - c) * (y - c * location): c = 0 is the same as
            False, and c = 1 is the identity.
        where: Name of the site, for errors.

    Raises:
        ModelError: The distribution has no location and scale, or allows no partial centering.

    Source: Papaspiliopoulos, Roberts & Skoeld (2007), A general framework for the
        parametrization of hierarchical models, section 3; Gorinova, Moore & Hoffman (2020),
        Automatic reparameterization of probabilistic programs.
    """
    if type(d) not in (FAMILIES if centered is False else STANDARD):
        families = FAMILIES if centered is False else tuple(STANDARD)
        raise ModelError(
            where,
            f"centered={centered!r} needs a location and a scale, and {type(d).__name__} has none",
            f"Use one of {', '.join(kind.__name__ for kind in families)}, or leave centered=True.",
        )
    if isinstance(d, dist.MultivariateNormal):
        return VectorNonCentering(jnp.asarray(d.loc)[..., None], jnp.asarray(d.scale_tril))
    location, scale = d.loc, d.scale  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(d, dist.LogNormal):
        return LogNonCentering(Affine(location, scale))
    if centered is False:
        return NonCentering(Affine(location, scale))
    part = jnp.asarray(scale) ** (1 - jnp.asarray(centered))
    return Affine(location - part * centered * location, part)


def standardized_log_density(d, z: Array, _: Array) -> Array:
    """Return the log density of a non-centered value in nats, computed from its y."""
    if isinstance(d, dist.MultivariateNormal):
        log_diagonal = jnp.log(jnp.diagonal(jnp.asarray(d.scale_tril), axis1=-2, axis2=-1))
        return dist.Normal(0.0, 1.0).log_prob(z).sum(-1) - log_diagonal.sum(-1)
    if isinstance(d, dist.LogNormal):
        log_value = d.loc + d.scale * z
        return dist.Normal(0.0, 1.0).log_prob(z) - jnp.log(d.scale) - log_value
    return STANDARD[type(d)](d).log_prob(z) - jnp.log(d.scale)
