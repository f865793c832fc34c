"""One estimate of the ELBO, and of its gradient in the distribution's own coordinates."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from ..target import Moments, Target
from ..types import Scalar, Vector
from .families.base import Distribution, Noise
from .rows import map_rows


class Estimate(NamedTuple):
    """What one step learns of the ELBO.

    Attributes:
        elbo: In nats; NaN if the target has no value.
        divergence: Divergence from the prior, in nats; NaN if it is not known apart.
        uphill: Gradient in the distribution's own coordinates; see `Distribution.ascent`.
        slope: Mean gradient of the log density, in the coordinates of the noise, shape (size,);
            zero at an optimum, up to noise. Zero if only the whole gradient is known.
        usable: Whether all of it is finite.
    """

    elbo: Scalar
    divergence: Scalar
    uphill: Any
    slope: Vector
    usable: Bool[Array, ""]


def has_parts(target: Target, q: Distribution) -> bool:
    """Return whether likelihood and divergence are known apart."""
    return q.is_independent and "parts" in target.offers


def weigh_divergence(epochs: Array, warmup: int | None, dtype: Any) -> Scalar | None:
    """Return the weight of the divergence from the prior after some epochs; `None` for one."""
    return jnp.minimum((epochs + 1).astype(dtype) / warmup, 1.0) if warmup else None


def estimate_elbo(
    target: Target,
    q: Distribution,
    noise: Noise,
    estimator: str,
    weight: Scalar | None,
    key: Array | None = None,
) -> Estimate:
    """Estimate the ELBO and its gradient, by parts if the estimator is "total" and they are known.

    Args:
        target: The log density.
        q: The approximation.
        noise: Standard normal, shape (draws, size).
        estimator: "path" or "total"; see `Distribution.ascent`.
        weight: What the divergence from the prior is multiplied by in the gradient; `None` for
            one, which needs no target with parts.
        key: Draws weights of layers for each row; `None` if rows share those made from `noise`.
            Without effect if the ELBO is not estimated by parts.
    """
    if estimator == "total" and has_parts(target, q):
        return _estimate_by_parts(target, q, noise, 1.0 if weight is None else weight, key)
    return _estimate_by_gradients(target, q, noise, estimator, weight)


def _estimate_by_gradients(
    target: Target, q: Distribution, noise: Noise, estimator: str, weight: Scalar | None
) -> Estimate:
    """Estimate the ELBO from values and gradients of the log density at draws."""
    positions = q.forward_rows(noise)
    values, gradients = _evaluate(target, weight, positions)
    elbo = values.mean() - q.mean_log_density(noise)
    # Over the draws first, as vectors; the product is NaN for what is not finite.
    usable = jnp.isfinite((0 * gradients).sum(0)).all()
    # The gradients need only the score of the target; without a value the ELBO is NaN.
    usable = usable & jnp.isfinite(elbo) if target.has_value else usable
    share = 1.0 if weight is None else weight
    uphill = q.ascent(noise, gradients, estimator, share)
    added = share * noise.mean(0) if estimator == "path" else jnp.zeros_like(noise[0])
    slope = q.find_slope(gradients, uphill, added)
    return Estimate(elbo, jnp.full_like(elbo, jnp.nan), uphill, slope, usable)


def _evaluate(target: Target, weight: Scalar | None, positions: Noise) -> tuple[Array, Array]:
    """Return the log densities, and the gradients with the prior multiplied by its weight."""
    if weight is None:
        return map_rows(target.evaluate, positions)

    def weighted(position: Vector) -> tuple[Scalar, Scalar]:
        parts = target.parts(position)
        return parts.likelihood + weight * parts.prior, parts.likelihood + parts.prior

    (_, values), gradients = jax.vmap(jax.value_and_grad(weighted, has_aux=True))(positions)
    return values, gradients


def _estimate_by_parts(
    target: Target, q: Distribution, noise: Noise, weight: Scalar | float, key: Array | None
) -> Estimate:
    """Estimate the ELBO of independent coordinates, likelihood and divergence apart.

    The gradient is the whole derivative. The entropy is exact, and so is the expected log density
    of each normal prior of independent coordinates given the others, which leaves less noise.

    Source: Blundell et al. (2015), arXiv 1505.05424, equation 1; for the weight of the divergence,
        Bowman et al. (2016), arXiv 1511.06349, section 3.1.
    """
    keys = None if key is None else jax.random.split(key, len(noise))

    def weigh(step: Any) -> tuple[Scalar, tuple[Scalar, Scalar]]:
        moved = q.move(step)
        moments = Moments(moved.location, moved.sd)
        draw_parts = lambda x, key: target.parts(x, moments, key)  # noqa: E731
        parts = jax.vmap(draw_parts)(jax.vmap(moved.forward)(noise), keys)
        likelihood, prior = parts.likelihood.mean(), parts.prior.mean()
        divergence = -prior - _entropy(moved, noise)
        return likelihood - weight * divergence, (likelihood, divergence)

    still = jax.tree.map(jnp.zeros_like, q.ascent(noise, noise, "total"))
    (_, (likelihood, divergence)), uphill = jax.value_and_grad(weigh, has_aux=True)(still)
    elbo = likelihood - divergence
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((elbo, uphill))]
    slope = jnp.zeros_like(noise[0])
    return Estimate(elbo, divergence, uphill, slope, jnp.stack(finite).all())


def _entropy(q: Distribution, noise: Noise) -> Scalar:
    """Return the entropy in nats; only the log-determinant is estimated from the noise."""
    return jax.vmap(q.log_det)(noise).mean() + 0.5 * q.size * (1 + math.log(2 * math.pi))
