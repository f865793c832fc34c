"""Maps by the prior's own location and scale: non-centered and partly centered sites."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from bijectors.base import ArrayLike, Bijector, Elementwise, Image, bijection, cast_like
from bijectors.maps.affine import Affine

from ...errors import ModelError
from . import distributions as dist
from .distributions import name_family
from .whitening import PartialWhitening, VectorNonCentering, as_columns

# Location-scale families of NumPyro, each with its standard member.
STANDARD = {
    "Normal": lambda d: dist.Normal(0.0, 1.0),
    "StudentT": lambda d: dist.StudentT(d.df, 0.0, 1.0),
    "Cauchy": lambda d: dist.Cauchy(0.0, 1.0),
    "Laplace": lambda d: dist.Laplace(0.0, 1.0),
    "Logistic": lambda d: dist.Logistic(0.0, 1.0),
    "Gumbel": lambda d: dist.Gumbel(0.0, 1.0),
}
# "auto", a truth value, or a degree of centering from 0 to 1.
Centered = str | bool | float | Array | np.ndarray
AUTO = "auto"
FAMILIES = (*STANDARD, "LogNormal", "MultivariateNormal")


def is_auto(centered: Centered) -> bool:
    """Return whether the centering of a site is to be learned."""
    return isinstance(centered, str) and centered == AUTO


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


class PartialCentering(Elementwise):
    """x = location + scale^(1 - c) * (y - c * location), or its exponential.

    The by-product `non_centered` is (x - location) / scale, or that of log x, computed from y as
    scale^-c * (y - c * location), which loses no digits if the scale is small. With c = 0 it is y.

    Attributes:
        location: Location of the prior.
        scale: Scale of the prior.
        degree: The degree of centering c, from 0 to 1.
        is_log: Whether the image is the exponential of x, as for a log-normal prior.
    """

    location: ArrayLike
    scale: ArrayLike
    degree: ArrayLike
    is_log: bool = eqx.field(static=True, default=False)

    def image(self, y: Float[Array, ""]) -> Image:
        location, scale, degree = self._parameters(y)
        log_scale = jnp.log(scale)
        z = jnp.exp(-degree * log_scale) * (y - degree * location)
        value, log_det = location + scale * z, (1 - degree) * log_scale
        if self.is_log:
            value, log_det = jnp.exp(value), log_det + value
        return bijection(value, log_det, non_centered=z)

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        location, scale, degree = self._parameters(x)
        z = ((jnp.log(x) if self.is_log else x) - location) / scale
        return scale**degree * z + degree * location

    def _parameters(self, like: Array) -> list[Array]:
        return [cast_like(own, like) for own in (self.location, self.scale, self.degree)]


def centering_map(d: "dist.Distribution", centered: Centered, where: str) -> Bijector:
    """Return the map of a non-centered or partly centered site.

    Args:
        d: The prior.
        centered: False for x = location + scale * y. A number c from 0 to 1, or one for each
            value, for x = location + scale^(1 - c) * (y - c * location): c = 0 is the same as
            False, and c = 1 is the identity. For a multivariate normal one number, for the map
            of `PartialWhitening`.
        where: Name of the site, for errors.

    Raises:
        ModelError: The distribution has no location and scale, or allows no partial centering, or
            a number is not from 0 to 1.

    Source: Papaspiliopoulos, Roberts & Skoeld (2007), A general framework for the
        parametrization of hierarchical models, section 3; Gorinova, Moore & Hoffman (2020),
        Automatic reparameterization of probabilistic programs.
    """
    if isinstance(centered, str):
        found = f"centered={centered!r} is no centering"
        raise ModelError(where, found, 'Give "auto", True, False, or a number from 0 to 1.')
    families = FAMILIES if centered is False else (*STANDARD, "MultivariateNormal")
    if name_family(d) not in families:
        raise ModelError(
            where,
            f"centered={centered!r} needs a location and a scale, and {type(d).__name__} has none",
            f"Use one of {', '.join(families)}, or leave centered=True.",
        )
    if centered is False:
        return _non_centering(d)
    if not isinstance(centered, Tracer) and not _are_degrees(np.asarray(centered)):
        found = f"centered={centered!r} is no degree of centering"
        raise ModelError(where, found, "Give numbers from 0 (False) to 1 (True).")
    degree = jnp.asarray(centered, float)
    if isinstance(d, dist.MultivariateNormal) and degree.ndim:
        found = f"centered= has shape {degree.shape} for a multivariate normal"
        raise ModelError(where, found, "Give one number for all of its entries.")
    return partial_centering(d, degree)


def _non_centering(d: "dist.Distribution") -> Bijector:
    location, scale = read_spread(d)
    if isinstance(d, dist.MultivariateNormal):
        return VectorNonCentering(as_columns(location, scale), scale)
    kind = LogNonCentering if isinstance(d, dist.LogNormal) else NonCentering
    return kind(Affine(location, scale))


def _are_degrees(numbers: np.ndarray) -> bool:
    return bool(np.all((numbers >= 0) & (numbers <= 1)))


def read_spread(d: Any) -> tuple[Any, Any]:
    """Return location and scale of a prior of `FAMILIES`.

    The scale of a multivariate normal is the factor that its log density uses, lower triangular.
    """
    if isinstance(d, dist.MultivariateNormal):
        return jnp.asarray(d.loc), jnp.asarray(d.scale_tril)
    return d.loc, d.scale


def has_spread(d: "dist.Distribution") -> bool:
    """Return whether a prior is of one of `FAMILIES`, or of a subclass."""
    return isinstance(d, tuple(getattr(dist, name) for name in FAMILIES))


def may_learn_centering(d: "dist.Distribution") -> bool:
    """Return whether a prior has a location or scale that is not known before the model runs."""
    return name_family(d) in FAMILIES and any(isinstance(own, Tracer) for own in read_spread(d))


def partial_centering(d: "dist.Distribution", degree: Array) -> PartialCentering | PartialWhitening:
    """Return the map of a site of this degree of centering.

    Args:
        d: The prior.
        degree: One number, or one for each value; the same for all entries of a vector.
    """
    location, scale = read_spread(d)
    if isinstance(d, dist.MultivariateNormal):
        columns = as_columns(location, scale), as_columns(degree, scale)
        return PartialWhitening(columns[0], scale, columns[1])
    return PartialCentering(location, scale, degree, isinstance(d, dist.LogNormal))


def standardized_log_density(d, z: Array, _: Array) -> Array:
    """Return the log density of a non-centered value in nats, computed from its y."""
    if isinstance(d, dist.MultivariateNormal):
        log_diagonal = jnp.log(jnp.diagonal(jnp.asarray(d.scale_tril), axis1=-2, axis2=-1))
        return dist.Normal(0.0, 1.0).log_prob(z).sum(-1) - log_diagonal.sum(-1)
    if isinstance(d, dist.LogNormal):
        log_value = d.loc + d.scale * z
        return dist.Normal(0.0, 1.0).log_prob(z) - jnp.log(d.scale) - log_value
    return STANDARD[name_family(d)](d).log_prob(z) - jnp.log(d.scale)
