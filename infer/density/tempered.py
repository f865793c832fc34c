"""A log density between a reference, from which draws are exact, and the posterior.

For a power p from 0 to 1 it is (1 - p) * log reference + p * log posterior. The reference is the
prior, or a normal of the flat vector. The power is an array, so that other powers compile nothing.
"""

from dataclasses import fields, replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..numerics.keys import wrap_key
from ..programs.native import call_compiled
from ..types import Scalar, Vector
from .base import LogDensity
from .differentiating import value_and_gradient
from .family import Family, singleton, without_leaves
from .points import Points


class Normal(eqx.Module):
    """A normal distribution of the flat vector.

    Attributes:
        mean: Shape (size,).
        factor: Cholesky factor of the covariance, shape (size, size).
        whitening: Its inverse; a product takes a hundredth of the time of a triangular solve.
        log_det: Logarithm of the determinant of the factor.
    """

    mean: Float[Array | np.ndarray, "size"]
    factor: Float[Array | np.ndarray, "size size"]
    whitening: Float[Array | np.ndarray, "size size"]
    log_det: Float[Array | np.ndarray, ""]

    def log_density(self, position: Vector) -> Scalar:
        """Compute its logarithm in nats, with all constants."""
        whitened = jnp.asarray(self.whitening) @ (position - self.mean)
        constant = 0.5 * position.size * np.log(2 * np.pi)
        return -0.5 * (whitened**2).sum() - self.log_det - constant


def make_normal(mean: np.ndarray, covariance: np.ndarray) -> Normal:
    """Make a normal of a mean and a regular covariance, on the host."""
    factor = np.linalg.cholesky(covariance)
    whitening, log_det = np.linalg.inv(factor), np.log(np.diag(factor)).sum()
    convert = lambda part: np.asarray(part, jnp.result_type(float))  # noqa: E731
    return Normal(convert(mean), convert(factor), convert(whitening), convert(log_det))


class Ends(NamedTuple):
    """The two ends of the path at points, in nats; traced, or on the host with leading axes.

    Attributes:
        reference: Log density of the reference.
        posterior: Log density of the posterior.
        reference_gradient: Gradient of the first, shape (size,).
        posterior_gradient: Gradient of the second, shape (size,).
    """

    reference: Any
    posterior: Any
    reference_gradient: Any
    posterior_gradient: Any

    @property
    def log_ratio(self) -> np.ndarray:
        """Log of the posterior over the reference; minus infinity if it is not a number."""
        with np.errstate(invalid="ignore"):
            ratio = np.asarray(self.posterior - self.reference, np.float64)
        return np.where(np.isnan(ratio), -np.inf, ratio)

    def at(self, positions: np.ndarray, powers: np.ndarray) -> Points:
        """Return points evaluated under the log densities of these powers, shape (points,)."""
        q, p = 1 - powers, powers
        log_densities = q * self.reference + p * self.posterior
        gradients = q[:, None] * self.reference_gradient + p[:, None] * self.posterior_gradient
        kind = positions.dtype
        return Points(
            positions, log_densities.astype(kind), gradients.astype(kind), np.zeros_like(positions)
        )


class Tempered(LogDensity):
    """A log density between the reference and the posterior.

    Attributes:
        power: 0 at the reference and 1 at the posterior.
        reference: The reference; `None` for the prior.
    """

    power: Float[Array | np.ndarray, "*members"] | None = None
    reference: Normal | None = None

    def ends(self, position: Vector) -> tuple[Scalar, Scalar]:
        """Compute the log densities of the reference and of the posterior."""
        if self.reference is None:
            prior, likelihood = self.parts(position)
            return prior, prior + likelihood
        return self.reference.log_density(position), super()._total_and_values(position)[0]

    def _total_and_values(self, position: Vector) -> tuple[Scalar, dict[str, Array]]:
        reference, posterior = self.ends(position)
        power = jnp.asarray(self.power, position.dtype)
        return (1 - power) * reference + power * posterior, {}

    def _minus_reference(self, position: Vector, reference: Scalar) -> tuple[Scalar]:
        return (self._total_and_values(position)[0] - reference,)


def temper(density: LogDensity, powers: np.ndarray, reference: Normal | None) -> Family:
    """Make the log densities of several powers, one member each."""
    own = {f.name: getattr(density, f.name) for f in fields(LogDensity)}
    dtype = jnp.result_type(float)
    if len(powers) == 1:
        return singleton(Tempered(**own, power=np.asarray(powers[0], dtype), reference=reference))
    shared = Tempered(**own, reference=reference)
    return Family(shared, replace(without_leaves(shared), power=powers.astype(dtype)), len(powers))


def evaluate_ends(density: Tempered, positions: np.ndarray) -> Ends:
    """Evaluate both ends of the path at positions of shape (points, size), on the host."""
    return Ends(*map(np.asarray, call_compiled(_evaluate_ends, density, positions)))


def _evaluate_ends(density: Tempered, positions: Array) -> Ends:
    def one(position: Array) -> Ends:
        both = [
            value_and_gradient(lambda q, end=end: density.ends(q)[end], density.gradient)(position)
            for end in (0, 1)
        ]
        values, gradients = zip(*both, strict=True)
        return Ends(*values, *gradients)

    return jax.vmap(one)(positions)


def draw_reference(density: Tempered, keys: np.ndarray) -> np.ndarray:
    """Draw from the reference, one point for each key, shape (keys, size)."""
    normal = density.reference
    drawn = (
        call_compiled(_draw_prior, density, keys)
        if normal is None
        else call_compiled(_draw_normal, normal, keys)
    )
    return np.asarray(drawn)


def _draw_prior(density: Tempered, keys: Array) -> Array:
    with jax.threefry_partitionable(True):
        return jax.vmap(lambda key: density.draw_prior(wrap_key(key)))(keys)


def _draw_normal(normal: Normal, keys: Array) -> Array:
    mean, factor = jnp.asarray(normal.mean), jnp.asarray(normal.factor)
    with jax.threefry_partitionable(True):
        one = lambda key: mean + factor @ jax.random.normal(wrap_key(key), mean.shape, mean.dtype)  # noqa: E731
        return jax.vmap(one)(keys)
