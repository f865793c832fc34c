"""A prior: a distribution of NumPyro, reduced to what a model needs from it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array

from bijectors.base import Bijector, Constraint, Shape

from ...errors import ModelError
from ...loaded import is_of_class
from ..inputs.units import refuse_units
from . import distributions as dist
from .centering import (
    FAMILIES,
    Centered,
    centering_map,
    is_auto,
    may_learn_centering,
    standardized_log_density,
)
from .distributions import is_distribution, name_family
from .tfp_kinds import is_of_tfp
from .units import refuse_parameters_with_units
from .valued import is_valued


class Prior:
    """A distribution broadcast to a batch shape.

    Attributes:
        distribution: NumPyro's distribution, as the user gave it.
        batch_shape: Shape of independent values.
        event_shape: Shape of one value.
        has_value: Whether its log density has a value; false if only the score is known.
        remark: Consequences of a constraint that is not the support; empty if there are none.
    """

    def __init__(self, distribution: "dist.Distribution", batch_shape: Shape) -> None:
        self.distribution = distribution
        self.batch_shape = batch_shape
        self.event_shape = tuple(distribution.event_shape)
        self.has_value = is_valued(distribution)
        self.remark = ""
        self._support: Constraint | None = None

    def constraint(self, where: str) -> Constraint:
        """Return the support as a set of ours; refuse, naming `where`, unknown ones and points."""
        # This imports NumPyro, as do those of `prior_of`: only models with priors need them.
        from bijectors.translate.numpyro import from_numpyro

        _refuse_point(self.distribution, where)
        return from_numpyro(self.distribution.support, where)  # pyright: ignore[reportArgumentType]

    def within(self, constraint: Constraint, where: str) -> "Prior":
        """Return the prior for values in a constraint; outside its support the density is zero.

        Raises:
            ModelError: The constraint and the support are disjoint.
        """
        from .mismatch import describe_mismatch, may_leave_support

        prior = Prior(self.distribution, self.batch_shape)
        if self.has_value:
            support = self.constraint(where)
            kind = type(strip_axes(self.distribution)).__name__
            prior.remark = describe_mismatch(where, kind, support, constraint)
            prior._support = support if may_leave_support(support, constraint) else None
        return prior

    def sample(self, key: Array) -> Array:
        """Draw one value of shape (*batch_shape, *event_shape)."""
        return jnp.asarray(self.distribution.expand(self.batch_shape).sample(key))

    def log_density(self, value: Array, by_products: Mapping[str, Array]) -> Array:
        """Return the log density of each row in nats, from a by-product if one is more accurate."""
        rows = self._rows(self._log_density(value, by_products))
        if self._support is None:
            return rows
        inside = jnp.asarray(self._support.contains(value))
        inside = inside.all(tuple(range(rows.ndim, inside.ndim)))
        return jnp.where(inside, rows, -jnp.inf)

    def _log_density(self, value: Array, by_products: Mapping[str, Array]) -> Array:
        if 0 in self.batch_shape:
            # NumPyro's multivariate normal divides by the number of rows.
            return jnp.zeros(self.batch_shape)
        bare = strip_axes(self.distribution)
        for name, by_product in by_products.items():
            formula = _formula(name_family(bare), name)
            if formula is not None:
                return formula(bare, by_product, value)
        return jnp.asarray(self.distribution.log_prob(value))

    def _rows(self, log_density: Array) -> Array:
        extra = range(len(self.batch_shape), log_density.ndim)
        return log_density.sum(tuple(extra))

    def choose_map(
        self, centered: Centered, bijector: Bijector | str | None, where: str
    ) -> Bijector | str | None:
        """Return the map that is given, or that of a non-centered or partly centered site.

        Raises:
            ModelError: Both are given, the degree of centering has units, or the prior cannot be
                centered so; see `centering_map`.
        """
        refuse_units(where, centered, "centered=")
        if centered is True or is_auto(centered):
            return bijector
        if bijector is not None:
            raise ModelError(
                where,
                "both centered= and bijector= are given, and each chooses the map",
                "Give only one of them.",
            )
        return centering_map(strip_axes(self.distribution), centered, where)

    def may_learn_centering(self) -> bool:
        """Return whether its location or scale may depend on other sites."""
        return may_learn_centering(strip_axes(self.distribution))


def prior_of(distribution: object, where: str) -> "dist.Distribution":
    """Return a distribution of NumPyro or TFP as one of NumPyro; refuse anything else."""
    refuse_parameters_with_units(where, distribution, "prior")
    if is_distribution(distribution):
        from .power_law import with_right_slopes

        return with_right_slopes(distribution)
    if is_of_tfp(distribution):
        from .from_tfp import as_numpyro

        return as_numpyro(distribution, where)
    if isinstance(distribution, Constraint):
        raise ModelError(
            where,
            f"{distribution!r} is a constraint, and a prior is expected",
            "Give a distribution, or declare the site with site.param(name, constraint).",
        )
    raise ModelError(
        where,
        f"the prior is a {type(distribution).__name__}, not a distribution",
        "Give a distribution of numpyro.distributions, such as Normal(0, 1), or of TFP on JAX.",
    )


def _refuse_point(distribution: "dist.Distribution", where: str) -> None:
    kind = name_kind(distribution)
    if kind in ("Delta", "Deterministic", "VectorDeterministic"):
        raise ModelError(
            where,
            f"its prior is a {kind}: all its mass is at one value",
            "There is nothing to infer: use the value itself, and record it by site.derive. A leaf "
            'of a tree can be "frozen".',
        )


def strip_axes(distribution: "dist.Distribution") -> "dist.Distribution":
    """Strip the wrappers that only rearrange axes."""
    while isinstance(distribution, dist.ExpandedDistribution | dist.Independent):
        distribution = distribution.base_dist  # pyright: ignore[reportAttributeAccessIssue]
    return distribution


def name_kind(distribution: "dist.Distribution") -> str:
    """Return the name of the class of a distribution, which for one of TFP is TFP's."""
    bare: Any = strip_axes(distribution)
    is_of_tfp = is_of_class(bare, "infer.models.priors.from_tfp.TfpDistribution")
    return type(bare.distribution if is_of_tfp else bare).__name__


def _log_normal(d, log_value: Array, _: Array) -> Array:
    return dist.Normal(d.loc, d.scale).log_prob(log_value) - log_value


def _expected_normal(d, moments: Array, _: Array) -> Array:
    """Compute the mean of the log density over normals of these means and standard deviations."""
    mean, sd = moments
    return dist.Normal(d.loc, d.scale).log_prob(mean) - 0.5 * (sd / d.scale) ** 2


def _gamma(d, log_value: Array, value: Array) -> Array:
    shape, rate = jnp.asarray(d.concentration), jnp.asarray(d.rate)
    log_norm = shape * jnp.log(rate) - gammaln(shape)
    return log_norm + (shape - 1) * log_value - rate * value


def _beta(d, log_shares: Array, _: Array) -> Array:
    one, zero = jnp.asarray(d.concentration1), jnp.asarray(d.concentration0)
    log_norm = gammaln(one + zero) - gammaln(one) - gammaln(zero)
    return log_norm + (one - 1) * log_shares[..., 0] + (zero - 1) * log_shares[..., 1]


def _dirichlet(d, log_value: Array, _: Array) -> Array:
    shape = jnp.asarray(d.concentration)
    log_norm = gammaln(shape.sum(-1)) - gammaln(shape).sum(-1)
    return log_norm + ((shape - 1) * log_value).sum(-1)


def _lkj_cholesky(d, log_diagonal: Array, _: Array) -> Array:
    order = log_diagonal.shape[-1]
    rows = jnp.arange(1, order + 1, dtype=log_diagonal.dtype)
    weights = order - rows + 2 * jnp.asarray(d.concentration)[..., None] - 2
    # At the identity every logarithm is zero, so the log density there is the normalizer.
    return d.log_prob(jnp.eye(order)) + (weights * log_diagonal).sum(-1)


def _lkj(d, log_diagonal: Array, _: Array) -> Array:
    exponent = 2 * (jnp.asarray(d.concentration) - 1)
    return d.log_prob(jnp.eye(log_diagonal.shape[-1])) + exponent * log_diagonal.sum(-1)


def _wishart_cholesky(d, log_diagonal: Array, value: Array) -> Array:
    rows = jnp.arange(1, log_diagonal.shape[-1] + 1, dtype=log_diagonal.dtype)
    weights = jnp.asarray(d.concentration)[..., None] - rows
    return _scaled(d, value, value.mT, (weights * log_diagonal).sum(-1))


def _wishart(d, log_diagonal: Array, value: Array) -> Array:
    exponent = jnp.asarray(d.concentration) - log_diagonal.shape[-1] - 1
    return _scaled(d, value, jnp.eye(log_diagonal.shape[-1]), exponent * log_diagonal.sum(-1))


def _scaled(d, left: Array, right: Array, log_power: Array) -> Array:
    """Add -trace(scale^-1 left right) / 2 and the normalizer, evaluated at the identity."""
    product = left @ right
    # The primitive does not promote precisions.
    dtype = jnp.result_type(d.scale_tril, product)
    scale_tril, product = jnp.broadcast_arrays(d.scale_tril.astype(dtype), product.astype(dtype))
    identity = jnp.broadcast_to(jnp.eye(left.shape[-1], dtype=left.dtype), product.shape)
    solve = partial(jax.lax.linalg.triangular_solve, scale_tril, left_side=True, lower=True)
    trace = lambda m: jnp.trace(solve(solve(m), transpose_a=True), 0, -2, -1)  # noqa: E731
    log_norm = d.log_prob(identity) + 0.5 * trace(identity)
    return log_norm + log_power - 0.5 * trace(product)


# (family, by-product of the map, or none) -> log density that is computed in log space.
_FORMULAE: dict[tuple[str, str], Callable] = {
    ("LogNormal", "log"): _log_normal,
    ("Normal", "moments"): _expected_normal,
    ("Gamma", "log"): _gamma,
    ("Beta", "log_shares"): _beta,
    ("Dirichlet", "log"): _dirichlet,
    ("LKJCholesky", "log_diagonal"): _lkj_cholesky,
    ("LKJ", "log_diagonal"): _lkj,
    ("Wishart", "log_diagonal"): _wishart,
    ("WishartCholesky", "log_diagonal"): _wishart_cholesky,
}


def _formula(family: str, by_product: str) -> Callable | None:
    if by_product == "non_centered":
        return standardized_log_density if family in FAMILIES else None
    return _FORMULAE.get((family, by_product))
