"""The ELBO per observation: expected log likelihood and divergence from the prior apart."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...errors import RunError
from ...numerics.families.base import Distribution
from ...programs.native import call_compiled
from ...target import Moments

# Draws at which the prior is evaluated; they are made one after the other.
DRAWS = 1000


class PerDatum(NamedTuple):
    """An ELBO divided by the number of observations, in nats.

    Attributes:
        observations: Rows of the likelihood; one that is summed by the user counts once.
        elbo: Evidence lower bound; `likelihood` minus `divergence`.
        error: Monte Carlo standard error of `elbo`.
        likelihood: Expected log likelihood; NaN if the prior has no value, like `divergence`.
        divergence: Divergence of the approximation from the prior.
    """

    observations: int
    elbo: float
    error: float
    likelihood: float
    divergence: float


def split_elbo(
    density: LogDensity, distribution: Distribution, elbo: float, error: float
) -> PerDatum:
    """Split an ELBO and divide it by the number of observations.

    Args:
        density: The log density.
        distribution: The approximation.
        elbo: In nats.
        error: Its standard error.

    Raises:
        RunError: The model has no rows of observations.
    """
    count, divergence = count_observations(density), np.nan
    if "parts" in density.offers:
        key = jax.random.key(0)
        found = call_compiled(_estimate_divergence, density, distribution, key)
        divergence = float(found)
    return PerDatum(
        count, elbo / count, error / count, (elbo + divergence) / count, divergence / count
    )


def count_observations(density: LogDensity) -> int:
    """Count the rows of all likelihood terms; if there is none, those of factors that have rows.

    Raises:
        RunError: No term has rows of observations.
    """
    position = jax.ShapeDtypeStruct((density.size,), jnp.result_type(float))
    found = jax.eval_shape(lambda at: _list_rows(density, at), position)
    count = sum(rows.size for rows in found)
    if not count:
        raise RunError(
            "per_datum",
            "the model has no rows of observations, among which the ELBO could be divided",
            "Declare them by site.observe, or divide `elbo` yourself.",
        )
    return count


def _list_rows(density: LogDensity, position: Array) -> list[Array]:
    terms = density.read(position)[0].terms
    likelihood = [term.rows for term in terms if term.role == "likelihood"]
    return likelihood or [term.rows for term in terms if term.role == "factor" and term.rows.ndim]


def _estimate_divergence(density: LogDensity, q: Distribution, key: Array) -> Array:
    """Estimate the mean of log q - log prior; exact for normal priors of independent numbers."""
    moments = Moments(q.location, q.sd) if q.is_independent else None

    def one(key: Array) -> Array:
        noise = jax.random.normal(key, (q.size,), q.location.dtype)
        entropy = q.log_det(noise) + 0.5 * q.size * (1 + math.log(2 * math.pi))
        return -density.parts(q.forward(noise), moments).prior - entropy

    return jax.lax.map(one, jax.random.split(key, DRAWS)).mean()
