"""Arrays that sum to zero along each of their last axes, with an isometry as map."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Constraint, Image, Shape
from ..elementary import from_sum_to_zero, sum_to_zero


class ZeroSum(Constraint):
    """Arrays that sum to zero along each of their last `axes` axes.

    The base measure is Lebesgue in orthonormal coordinates of the subspace.
    """

    axes: int = eqx.field(static=True, default=1)

    @property
    def event_ndims(self) -> int:
        return self.axes

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        inside = tuple(range(-self.axes, 0))
        size = max(value.shape[axis] for axis in inside)
        largest = jnp.max(jnp.abs(value), inside, initial=0.0)
        # A sum of n numbers errs by at most about n units in the last place of the largest.
        tolerance = 4 * size * jnp.finfo(value.dtype).eps * largest
        sums = [jnp.max(jnp.abs(value.sum(axis, keepdims=True)), inside) for axis in inside]
        return jnp.all(jnp.stack([s <= tolerance for s in sums]), 0) & jnp.isfinite(largest)

    def coordinates(self, value: Float[Array, "..."]) -> Float[Array, "n"]:
        return IsometricZeroSum(self.axes).inverse(value).reshape(-1)


class IsometricZeroSum(Bijector):
    """x = H y along each of `axes` axes, with log-determinant 0.

    H has orthonormal columns.

    Source: PyMC's ZeroSumTransform; Stan reference manual 2.36, "Sum-to-zero matrix".
    """

    axes: int = eqx.field(static=True, default=1)

    @classmethod
    def of(cls, constraint: ZeroSum) -> "IsometricZeroSum":
        """Make the map onto one set."""
        return cls(constraint.axes)

    @property
    def event_ndims(self) -> int:
        return self.axes

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return tuple(size - 1 for size in event_shape)

    def image(self, y: Float[Array, "..."]) -> Image:
        return Image.of(self._along_each(sum_to_zero, y))

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return self._along_each(from_sum_to_zero, x)

    def _along_each(self, function, value: Array) -> Array:
        for axis in range(self.axes):
            value = jnp.swapaxes(function(jnp.swapaxes(value, axis, -1)), axis, -1)
        return value
