"""The ELBO of independent normals over fixed draws, as a smooth function, and its Hessian."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt32

from ..target import Target
from ..types import Scalar, Vector
from .fixed_draws import draw_balanced
from .information import compute_hessian
from .keys import wrap_key

Draws = Float[Array, "draws size"]


def evaluate_loss(
    target: Target, parameters: Float[Array, "double"], noise: Draws
) -> tuple[Scalar, Float[Array, "double"]]:
    """Compute minus the ELBO in nats, and its gradient.

    Args:
        target: The log density.
        parameters: Means, then logarithms of standard deviations, shape (2 * size,).
        noise: The fixed draws.

    Source: Giordano, Ingram & Broderick (2024), arXiv 2304.05527, the objective
        of DADVI, with its gradient by the chain rule.
    """
    mean, log_sd = jnp.split(parameters, 2)
    spread = jnp.exp(log_sd) * noise
    values, slopes = jax.vmap(target.evaluate)(mean + spread)
    along_scale = (slopes * spread).mean(0) + 1
    entropy = log_sd.sum() + 0.5 * mean.shape[0] * (1 + math.log(2 * math.pi))
    return -(values.mean() + entropy), -jnp.concatenate([slopes.mean(0), along_scale])


def compute_response(
    target: Target, parameters: Float[Array, "double"], noise: Draws
) -> Float[Array, "double double"]:
    """Compute the Hessian of `evaluate_loss`, whose inverse has the linear response.

    It takes one product with the Hessian of the log density for each draw and coordinate.

    Source: Giordano, Ingram & Broderick (2024), arXiv 2304.05527, on linear
        response; Giordano, Broderick & Jordan (2018), Covariances, robustness, and variational
        Bayes.
    """
    mean, log_sd = jnp.split(parameters, 2)
    size = mean.shape[0]

    def add(total: Array, own: Vector) -> tuple[Array, None]:
        spread = jnp.exp(log_sd) * own
        hessian = compute_hessian(target, mean + spread)
        slope = target.evaluate(mean + spread)[1]
        mixed = hessian * spread
        scales = spread[:, None] * mixed + jnp.diag(slope * spread)
        return total + jnp.block([[hessian, mixed], [mixed.T, scales]]), None

    begun = jnp.zeros((2 * size, 2 * size), parameters.dtype)
    return -jax.lax.scan(add, begun, noise)[0] / noise.shape[0]


def draw_part(key: Array, part: Int[Array, ""] | int, like: Draws) -> Draws:
    """Make one part of the fixed draws of a key; see `draw_balanced`."""
    return draw_balanced(jax.random.fold_in(key, part), like)


def compute_response_of(
    target: Target, parameters: Float[Array, "double"], key_data: UInt32[Array, "words"],
    like: Float[Array, "parts draws size"],
) -> Float[Array, "double double"]:  # fmt: skip
    """Compute the Hessian over the first parts of the draws of a key.

    Args:
        target: The log density.
        parameters: As in `evaluate_loss`.
        key_data: Data of the key.
        like: An array of the shape and type of the draws.
    """
    key, (count, _, size) = wrap_key(key_data), like.shape
    parts = jax.vmap(lambda part: draw_part(key, part, like[0]))(jnp.arange(count))
    return compute_response(target, parameters, parts.reshape(-1, size))
