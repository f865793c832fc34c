"""Distributions of PyMC as distributions of NumPyro: by their parameters, or by their graph."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import Array
from jax.core import Tracer
from numpyro.distributions import constraints

from bijectors.base import Shape

from ...priors.prior import Prior
from .library import library

LogProb = Callable[[Array], Array]
Sample = Callable[[Array], Array]

# By the name of the RandomVariable of PyTensor or PyMC, with its parameters in order.
_FAMILIES: dict[str, Callable[..., Any]] = {
    "NormalRV": dist.Normal,
    "StudentTRV": dist.StudentT,
    "CauchyRV": dist.Cauchy,
    "LaplaceRV": dist.Laplace,
    "LogisticRV": dist.Logistic,
    "GumbelRV": dist.Gumbel,
    "LogNormalRV": dist.LogNormal,
    "HalfNormalRV": lambda _, scale: dist.HalfNormal(scale),
    "HalfCauchyRV": lambda _, scale: dist.HalfCauchy(scale),
    "ExponentialRV": lambda scale: dist.Exponential(1 / scale),
    "GammaRV": lambda shape, scale: dist.Gamma(shape, 1 / scale),
    "InvGammaRV": dist.InverseGamma,
    "BetaRV": dist.Beta,
    "UniformRV": dist.Uniform,
    "DirichletRV": dist.Dirichlet,
    "MvNormalRV": lambda mean, factor: dist.MultivariateNormal(mean, scale_tril=factor),
    "BernoulliRV": dist.Bernoulli,
    "CategoricalRV": dist.Categorical,
    "DiscreteUniformRV": dist.DiscreteUniform,
    "BinomialRV": lambda n, p: dist.Binomial(_as_whole(n), p),
}


def _are_probabilities(p: Array) -> Array:
    return (p >= 0) & (p <= 1)


# PyMC's checks of parameters, in those families whose density in NumPyro has a value nevertheless.
_CHECKS: dict[str, Callable[..., Array]] = {
    "GammaRV": lambda shape, scale: (shape > 0) & (scale > 0),
    "InvGammaRV": lambda shape, scale: (shape > 0) & (scale > 0),
    "BetaRV": lambda alpha, beta: (alpha > 0) & (beta > 0),
    "DirichletRV": lambda shape: (shape > 0).all(-1),
    "BernoulliRV": _are_probabilities,
    "BinomialRV": lambda n, p: _are_probabilities(p) & (n >= 0),
    "CategoricalRV": lambda p: _are_probabilities(p).all(-1) & jnp.isclose(p.sum(-1), 1),
}


class CheckedPrior(Prior):
    """A prior whose density is zero where its parameters are out of their range."""

    def __init__(self, distribution: dist.Distribution, batch_shape: Shape, holds: Array) -> None:
        super().__init__(distribution, batch_shape)
        self._holds = holds

    def log_density(self, value: Array, by_products: Mapping[str, Array]) -> Array:
        return jnp.where(self._holds, super().log_density(value, by_products), -jnp.inf)


class Family(NamedTuple):
    """A distribution that NumPyro has too.

    Attributes:
        name: Name of the RandomVariable.
        parameters: The parameters, as variables of PyTensor.
    """

    name: str
    parameters: tuple[Any, ...]

    def at(self, parameters: Sequence[Any], shape: Shape) -> Prior:
        """Return the prior of a value of some shape with these parameters."""
        values = [_as_float(own) for own in parameters]
        distribution = _FAMILIES[self.name](*values)
        batch = shape[: len(shape) - distribution.event_dim]
        check = _CHECKS.get(self.name)
        # NumPyro itself checks what is known before the program runs.
        if check is None or not any(isinstance(own, Tracer) for own in values):
            return Prior(distribution, batch)
        return CheckedPrior(distribution, batch, check(*map(jnp.asarray, values)))


def is_flat(variable: Any, has_own_set: bool) -> bool:
    """Return whether every value of a random variable in its set has density one."""
    kind = type(variable.owner.op).__name__
    return kind == "FlatRV" or (kind == "HalfFlatRV" and has_own_set)


def family_of(variable: Any) -> Family | None:
    """Return the family of a random variable, if NumPyro has it too."""
    op = variable.owner.op
    name = type(op).__name__
    if name not in _FAMILIES:
        return None
    parameters = tuple(op.dist_params(variable.owner))
    if name in ("HalfNormalRV", "HalfCauchyRV") and not _is_zero(parameters[0]):
        return None
    if name == "MvNormalRV":
        # PyTensor knows the factor of a product L L' without decomposing it.
        mean, covariance = parameters
        parameters = mean, library().pytensor.tensor.linalg.cholesky(covariance)
    return Family(name, parameters)


def _is_zero(parameter: Any) -> bool:
    find = library().pytensor.tensor.basic.get_underlying_scalar_constant_value
    try:
        return bool(find(parameter) == 0)
    except library().pytensor.tensor.exceptions.NotScalarConstantError:
        return False


def _as_float(parameter: Any) -> Any:
    # PyMC writes a mean of 0 as a whole number of eight bits.
    if isinstance(parameter, Tracer):
        return parameter.astype(float) if parameter.dtype.kind in "iub" else parameter
    return np.asarray(parameter, jnp.result_type(float)) if np.ndim(parameter) else float(parameter)


def _as_whole(parameter: Any) -> Any:
    return parameter.astype(int) if hasattr(parameter, "astype") else int(parameter)


class GraphDistribution(dist.Distribution):
    """A distribution whose log density and draws are graphs of PyTensor.

    Tables show the name of the type, so each distribution of PyMC has one: see `named`.
    """

    def __init__(
        self, batch_shape: Shape, event_shape: Shape, log_prob: LogProb, sample: Sample
    ) -> None:
        self._log_prob, self._sample = log_prob, sample
        super().__init__(batch_shape, event_shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.real, len(self.event_shape))

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        return jnp.asarray(self._log_prob(value))

    def sample(self, key: Any, sample_shape: Shape = ()) -> Array:
        return self._sample(key)


@cache
def named(variable_type: str) -> type[GraphDistribution]:
    """Return the type of the distribution of a random variable, such as "WeibullRV"."""
    name = variable_type.removeprefix("_").removesuffix("RV")
    return type(name, (GraphDistribution,), {})
