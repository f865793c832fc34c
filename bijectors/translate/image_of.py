"""A set defined as the image of a map."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Constraint
from ..compose import repeat_over_batch


class ImageOf(Constraint):
    """The image of a map, which is also the default map onto it.

    A value is a member if mapping it back and forth returns it.

    Attributes:
        bijector: The map of one value.
    """

    bijector: Bijector

    @property
    def event_ndims(self) -> int:
        return self.bijector.event_ndims

    def contains(self, value: Float[Array, "..."]) -> Bool[Array, "..."]:
        bijector = repeat_over_batch(self.bijector, value.shape)
        back = bijector.forward(bijector.inverse(value))
        # Half of the digits: an inverse may lose some near the boundary.
        tolerance = jnp.sqrt(jnp.finfo(value.dtype).eps) * (1 + jnp.abs(value))
        recovered = jnp.abs(back - value) <= tolerance
        return recovered.all(tuple(range(value.ndim - self.event_ndims, value.ndim)))

    def own_bijector(self) -> Bijector:
        return self.bijector
