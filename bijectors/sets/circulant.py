"""First rows of positive definite circulant matrices, mapped from their log spectrum."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Image, Shape, VectorConstraint, bijection


class PositiveDefiniteCirculant(VectorConstraint):
    """Symmetric vectors x_j = x_{size - j} whose discrete Fourier transform is positive.

    They are the first rows of covariances on a circle. The base measure is that of the first
    size // 2 + 1 numbers, which settle the others.
    """

    def with_event_shape(self, event_shape: Shape) -> "PositiveDefiniteCirculant":
        return PositiveDefiniteCirculant(event_shape[0])

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        spectrum = jnp.fft.rfft(value)
        # A sum of n terms, each rounded; singular to rounding is no member.
        slack = 8 * value.shape[-1] * jnp.finfo(value.dtype).eps * jnp.max(jnp.abs(value), -1)
        slack = slack[..., None]
        real = jnp.abs(spectrum.imag) <= slack
        return jnp.all(real & (spectrum.real > slack) & jnp.isfinite(spectrum.real), -1)

    def coordinates(self, value: Float[Array, "n"]) -> Float[Array, "m"]:
        return value[: value.shape[0] // 2 + 1]


class ExpSpectrum(Bijector):
    """x = irfft(exp(y)): the m = size // 2 + 1 numbers y are the log spectrum.

    The log-determinant is sum(y) - m / 2 log(size), since the transform of symmetric vectors,
    done twice, multiplies by size. By-product: `log_spectrum` = y.

    Attributes:
        size: Length of x; m alone would not tell an even one from an odd one.
    """

    size: int = eqx.field(static=True)

    @property
    def event_ndims(self) -> int:
        return 1

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] // 2 + 1,)

    def image(self, y: Float[Array, "m"]) -> Image:
        log_det = y.sum() - 0.5 * y.shape[0] * math.log(self.size)
        return bijection(jnp.fft.irfft(jnp.exp(y), self.size), log_det, log_spectrum=y)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "m"]:
        return jnp.log(jnp.fft.rfft(x).real)
