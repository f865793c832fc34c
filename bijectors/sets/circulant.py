"""First rows of positive definite circulant matrices, with the log spectrum as coordinates."""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Image, Shape, VectorBijector, VectorConstraint, bijection


class PositiveDefiniteCirculant(VectorConstraint):
    """Symmetric vectors x_j = x_{size - j} whose discrete Fourier transform is positive.

    They are the first rows of covariance matrices of stationary processes on a circle. The base
    measure is Lebesgue in the first size // 2 + 1 numbers, which determine the others.
    """

    def with_event_shape(self, event_shape: Shape) -> "PositiveDefiniteCirculant":
        return PositiveDefiniteCirculant(event_shape[0])

    def contains(self, value: Float[Array, "... n"]) -> Bool[Array, "..."]:
        spectrum = jnp.fft.rfft(value)
        # The error of a sum of n rounded terms; a matrix singular to rounding is not a member.
        largest = jnp.max(jnp.abs(value), -1, keepdims=True)
        tolerance = 8 * value.shape[-1] * jnp.finfo(value.dtype).eps * largest
        real = jnp.abs(spectrum.imag) <= tolerance
        return jnp.all(real & (spectrum.real > tolerance) & jnp.isfinite(spectrum.real), -1)

    def coordinates(self, value: Float[Array, "n"]) -> Float[Array, "m"]:
        return value[: value.shape[0] // 2 + 1]


class ExpSpectrum(VectorBijector):
    """x = irfft(exp(y)): the m = size // 2 + 1 numbers y are the log spectrum.

    The log-determinant is sum(y) - m / 2 log(size), since applying the transform of symmetric
    vectors twice multiplies by size. By-product: `log_spectrum` = y.

    Attributes:
        size: Length of x; m alone does not determine whether it is even or odd.
    """

    size: int = eqx.field(static=True)

    @classmethod
    def of(cls, constraint: PositiveDefiniteCirculant) -> "ExpSpectrum":
        """Make the map onto one set, whose size is known."""
        assert constraint.size is not None
        return cls(constraint.size)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return (event_shape[0] // 2 + 1,)

    def image(self, y: Float[Array, "m"]) -> Image:
        log_det = y.sum() - 0.5 * y.shape[0] * math.log(self.size)
        return bijection(jnp.fft.irfft(jnp.exp(y), self.size), log_det, log_spectrum=y)

    def inverse(self, x: Float[Array, "n"]) -> Float[Array, "m"]:
        return jnp.log(jnp.fft.rfft(x).real)
