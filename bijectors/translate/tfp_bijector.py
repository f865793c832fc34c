"""A bijector of TFP, held as one of our maps."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Bijector, Image, Shape, bijection


class _Held:
    """One object of TFP, equal to itself alone: TFP's own comparisons read traced values."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __repr__(self) -> str:
        return getattr(self.content, "name", type(self.content).__name__)


class TfpBijector(Bijector):
    """x = what a bijector of TFP makes of y, with TFP's log-determinant.

    One value holds the batch axes of the bijector's own parameters too, since TFP broadcasts
    over them itself. The parameters are not leaves: make the map where it is used. TFP
    computes in the precision of the parameters.
    """

    held: _Held = eqx.field(static=True)
    ndims: int = eqx.field(static=True)

    @property
    def event_ndims(self) -> int:
        return self.ndims

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return tuple(self.held.content.inverse_event_shape(event_shape))

    def image(self, y: Float[Array, "..."]) -> Image:
        theirs, own = self.held.content, self._own(y)
        value = jnp.asarray(theirs.forward(own))
        log_det = jnp.asarray(theirs.forward_log_det_jacobian(own, event_ndims=y.ndim))
        return bijection(value.astype(y.dtype), log_det.astype(y.dtype))

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.asarray(self.held.content.inverse(self._own(x))).astype(x.dtype)

    def _own(self, value: Array) -> Array:
        """Copy a value into the precision of the parameters, which TFP insists on."""
        # A copy, since TFP answers an inverse of what it has just made from memory.
        return jnp.array(value, _precision(self.held.content) or value.dtype, copy=True)


def _precision(bijector: Any) -> Any:
    """Find the dtype of a bijector's parameters, or of those it is made of."""
    if bijector.dtype is not None:
        return bijector.dtype
    parts = [*getattr(bijector, "bijectors", ()), getattr(bijector, "bijector", None)]
    found = [_precision(part) for part in parts if part is not None]
    return next((dtype for dtype in found if dtype is not None), None)


def bijector_from_tfp(bijector: Any, event_ndims: int | None = None) -> TfpBijector:
    """Hold a bijector of TFP as one of our maps.

    Args:
        bijector: Instance of `tfp.bijectors.Bijector` from one tensor to one tensor.
        event_ndims: Rank of one value; by default that of the bijector's events, with the
            batch axes of its parameters.
    """
    if event_ndims is None:
        batch = len(bijector.experimental_batch_shape())
        event_ndims = batch + int(bijector.inverse_min_event_ndims)
    return TfpBijector(_Held(bijector), event_ndims)
