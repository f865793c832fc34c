"""Maps by the location and scale of a prior itself: non-centred and partly centred sites."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from bijectors.base import Bijector, Elementwise, Image, Vectorwise
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
# False, or how far a site is centred.
Part = bool | float | Array | np.ndarray
FAMILIES = (*STANDARD, dist.LogNormal, dist.MultivariateNormal)


class NonCentring(Elementwise):
    """x = location + scale * y, by the location and scale of the very prior of x.

    The by-product `non_centred` is y. It has this name because no other map's y is a draw of
    the standard member of the prior's family, not even another `Affine`'s.
    """

    affine: Affine

    def image(self, y: Float[Array, ""]) -> Image:
        return self.affine.image(y)._replace(by_products={"non_centred": y})

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return self.affine.inverse(x)


class LogNonCentring(Elementwise):
    """x = exp(location + scale * y), for a log-normal prior; by-products as in `NonCentring`."""

    affine: Affine

    def image(self, y: Float[Array, ""]) -> Image:
        log = self.affine.image(y)
        return Image(jnp.exp(log.value), log.log_det + log.value, log.auxiliary, {"non_centred": y})

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        return self.affine.inverse(jnp.log(x))


class VectorNonCentring(Vectorwise):
    """x = location + factor @ y, for a multivariate normal; by-products as in `NonCentring`.

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
        return Image(value, log_det, jnp.zeros_like(log_det), {"non_centred": y})

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "n"]:
        centred = x - self.location[:, 0]
        return jax.scipy.linalg.solve_triangular(self.factor, centred, lower=True)


def centring(
    d: dist.Distribution, centred: bool | float | Array | np.ndarray, where: str
) -> Bijector:
    """Return the map of a non-centred site, or of one that is centred in part.

    Args:
        d: The prior.
        centred: False for x = location + scale * y. A number c from 0 to 1, or one for each
            value, for x = location + scale^(1 - c) * (y - c * location): at 0 as with False, at 1
            the identity.
        where: Name of the site, for errors.

    Raises:
        ModelError: The distribution has no location and scale, or none that can be part-way.

    Source: Papaspiliopoulos, Roberts & Skoeld (2007), A general framework for the
        parametrization of hierarchical models, section 3; Gorinova, Moore & Hoffman (2020),
        Automatic reparameterisation of probabilistic programs.
    """
    if type(d) not in (FAMILIES if centred is False else STANDARD):
        families = FAMILIES if centred is False else tuple(STANDARD)
        raise ModelError(
            where,
            f"centred={centred!r} needs a location and a scale, and {type(d).__name__} has none",
            f"Use one of {', '.join(kind.__name__ for kind in families)}, or leave centred=True.",
        )
    if isinstance(d, dist.MultivariateNormal):
        return VectorNonCentring(jnp.asarray(d.loc)[..., None], jnp.asarray(d.scale_tril))
    location, scale = d.loc, d.scale  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(d, dist.LogNormal):
        return LogNonCentring(Affine(location, scale))
    if centred is False:
        return NonCentring(Affine(location, scale))
    part = jnp.asarray(scale) ** (1 - jnp.asarray(centred))
    return Affine(location - part * centred * location, part)


def standardised(d, z: Array, _: Array) -> Array:
    """Log density of a non-centred value, from the y that made it; nats."""
    if isinstance(d, dist.MultivariateNormal):
        log_diagonal = jnp.log(jnp.diagonal(jnp.asarray(d.scale_tril), axis1=-2, axis2=-1))
        return dist.Normal(0.0, 1.0).log_prob(z).sum(-1) - log_diagonal.sum(-1)
    if isinstance(d, dist.LogNormal):
        log_value = d.loc + d.scale * z
        return dist.Normal(0.0, 1.0).log_prob(z) - jnp.log(d.scale) - log_value
    return STANDARD[type(d)](d).log_prob(z) - jnp.log(d.scale)
