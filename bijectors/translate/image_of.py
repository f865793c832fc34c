"""A set that is known by a map onto it: the values that the map reaches."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..base import Bijector, Constraint
from ..compose import repeat_over_batch


class ImageOf(Constraint):
    """All values of a map; the map is its own default.

    A value is a member if the map finds its way back to it.

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
        # Half of the digits: an inverse may lose some near the rim.
        slack = jnp.sqrt(jnp.finfo(value.dtype).eps) * (1 + jnp.abs(value))
        reached = jnp.abs(back - value) <= slack
        return reached.all(tuple(range(value.ndim - self.event_ndims, value.ndim)))

    def own_bijector(self) -> Bijector:
        return self.bijector
