"""A normal distribution given by its mean and its standard deviations or Cholesky factor."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..types import Scalar, Vector


class Normal(eqx.Module):
    """The distribution of mean + scale * noise, with standard normal noise.

    Attributes:
        mean: Shape (size,).
        scale: Standard deviations, shape (size,), or a lower Cholesky factor, shape
            (size, size), with a positive diagonal.
    """

    mean: Vector
    scale: Float[Array, "size"] | Float[Array, "size size"]

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.mean.shape[0]

    def forward(self, noise: Vector) -> Vector:
        """Map standard normal noise to a draw."""
        return self.mean + (self.scale * noise if self.scale.ndim == 1 else self.scale @ noise)

    def pull_back(self, gradient: Vector) -> Vector:
        """Map a gradient with respect to a draw to one with respect to its noise."""
        return self.scale * gradient if self.scale.ndim == 1 else self.scale.T @ gradient

    def log_density_of_noise(self, noise: Vector) -> Scalar:
        """Compute the log density, in nats, of the draw made from `noise`."""
        diagonal = self.scale if self.scale.ndim == 1 else jnp.diagonal(self.scale)
        log_norm = jnp.log(diagonal).sum() + 0.5 * self.size * math.log(2 * math.pi)
        return -0.5 * (noise**2).sum() - log_norm

    def log_density(self, position: Vector) -> Scalar:
        """Compute the log density, in nats, of a position."""
        centered = position - self.mean
        if self.scale.ndim == 1:
            return self.log_density_of_noise(centered / self.scale)
        noise = jax.scipy.linalg.solve_triangular(self.scale, centered, lower=True)
        return self.log_density_of_noise(noise)

    def move(self, step: "Normal") -> "Normal":
        """Return the distribution after a step given in this one's own coordinates.

        The mean moves by scale * step. The scale is multiplied by exp(step); entries below the
        diagonal of a Cholesky factor are taken to first order.
        """
        mean = self.forward(step.mean)
        if self.scale.ndim == 1:
            return Normal(mean, self.scale * jnp.exp(step.scale))
        growth = jnp.tril(step.scale, -1) + jnp.diag(jnp.exp(jnp.diagonal(step.scale)))
        return Normal(mean, self.scale @ growth)

    def pack(self) -> Float[Array, "width"]:
        """Concatenate mean and scale into one vector."""
        return jnp.concatenate([self.mean, self.scale.reshape(-1)])


def unpack(packed: Float[Array, "width"], size: int) -> Normal:
    """Read a vector written by `Normal.pack`."""
    mean, scale = packed[:size], packed[size:]
    return Normal(mean, scale if scale.shape[0] == size else scale.reshape(size, size))
