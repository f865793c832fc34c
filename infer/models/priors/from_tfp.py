"""Distributions of TFP as distributions of NumPyro; TFP itself is not imported here."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from numpyro.distributions import constraints

from bijectors.translate.numpyro import OurSupport

from .tfp_kinds import is_joint


def as_numpyro(distribution: Any, where: str) -> dist.Distribution:
    """Return the same distribution as one of NumPyro.

    If NumPyro has the distribution itself, that is returned, since its log density can use the
    by-products of our maps.

    Raises:
        BijectorError: It is a joint distribution, or not one of TFP's JAX substrate.
    """
    # Imported only if there is anything of TFP.
    from bijectors.translate.tfp import batch_shape

    name = type(distribution).__name__.lstrip("_")
    if name == "Independent":
        base = as_numpyro(distribution.distribution, where)
        return base.to_event(len(base.batch_shape) - len(batch_shape(distribution)))
    if name == "Sample" and not batch_shape(distribution.distribution):
        sampled = tuple(int(n) for n in np.reshape(distribution.sample_shape, -1))
        return as_numpyro(distribution.distribution, where).expand(sampled).to_event(len(sampled))
    translate = _SAME.get(name)
    same = translate(distribution) if translate else None
    return same or TfpDistribution(distribution, where)


class TfpDistribution(dist.Distribution):
    """A distribution of TFP with the interface of NumPyro.

    It computes in its own precision: TFP converts Python's floats to single-precision parameters
    even if JAX uses double precision.

    Attributes:
        distribution: The distribution of TFP.
        where: Name to give in errors, such as a site's.
    """

    pytree_data_fields = ("distribution",)
    pytree_aux_fields = ("where",)

    def __init__(self, distribution: Any, where: str) -> None:
        from bijectors.translate.tfp import batch_shape, event_shape, from_tfp

        if not hasattr(distribution, "batch_shape_tensor") or is_joint(distribution):
            # This raises the error that explains it.
            from_tfp(distribution, where)
        self.distribution, self.where = distribution, where
        super().__init__(batch_shape(distribution), event_shape(distribution))

    @property
    def support(self) -> constraints.Constraint:
        """Set of its values; a discrete distribution is refused, naming `where`."""
        from bijectors.translate.tfp import from_tfp

        own = from_tfp(self.distribution, self.where)
        spare = self.event_dim - own.event_ndims
        return constraints.independent(OurSupport(own), spare) if spare > 0 else OurSupport(own)

    def sample(self, key: Array | None, sample_shape: tuple[int, ...] = ()) -> Array:
        draw = jnp.asarray(self.distribution.sample(sample_shape, seed=key))
        return draw.astype(float) if jnp.issubdtype(draw.dtype, jnp.floating) else draw

    @property
    def mean(self) -> Array:
        """Its mean; TFP raises NotImplementedError if it has no formula."""
        return jnp.asarray(self.distribution.mean())

    def icdf(self, q: Any) -> Array:
        """Its quantile function, where TFP has a formula."""
        return jnp.asarray(self.distribution.quantile(q))

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        value, own = jnp.asarray(value), self.distribution.dtype
        if jnp.issubdtype(own, jnp.floating):
            value = value.astype(own)
        rows = jnp.asarray(self.distribution.log_prob(value))
        # Some densities of TFP that are constant return fewer rows than they were given values.
        batch = value.shape[: value.ndim - self.event_dim]
        return jnp.broadcast_to(rows, jnp.broadcast_shapes(batch, self.batch_shape))


def _gamma(d: Any) -> dist.Distribution:
    return dist.Gamma(d.concentration, jnp.exp(d.log_rate) if d.rate is None else d.rate)


def _wishart(d: Any) -> dist.Distribution | None:
    return None if d.input_output_cholesky else dist.Wishart(d.df, scale_tril=d.scale_tril)


def _lkj(d: Any) -> dist.Distribution | None:
    return None if d.input_output_cholesky else dist.LKJ(d.dimension, d.concentration)


# Distributions that both libraries have, by name, so that TFP is not imported.
_SAME: Mapping[str, Callable[[Any], dist.Distribution | None]] = {
    "Normal": lambda d: dist.Normal(d.loc, d.scale),
    "StudentT": lambda d: dist.StudentT(d.df, d.loc, d.scale),
    "Cauchy": lambda d: dist.Cauchy(d.loc, d.scale),
    "Laplace": lambda d: dist.Laplace(d.loc, d.scale),
    "Logistic": lambda d: dist.Logistic(d.loc, d.scale),
    "Gumbel": lambda d: dist.Gumbel(d.loc, d.scale),
    "LogNormal": lambda d: dist.LogNormal(d.loc, d.scale),
    "Gamma": _gamma,
    "Beta": lambda d: dist.Beta(d.concentration1, d.concentration0),
    "Dirichlet": lambda d: dist.Dirichlet(d.concentration),
    "CholeskyLKJ": lambda d: dist.LKJCholesky(d.dimension, d.concentration),
    "LKJ": _lkj,
    "WishartTriL": _wishart,
}
