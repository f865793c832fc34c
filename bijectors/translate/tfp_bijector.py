"""Wrap a bijector of TFP as one of our maps."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Bijector, Image, Shape, bijection


class _ByIdentity:
    """An object of TFP, compared by identity: TFP's own comparisons read traced values."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __repr__(self) -> str:
        return getattr(self.content, "name", type(self.content).__name__)


class TfpBijector(Bijector):
    """x = the image of y under a bijector of TFP, with TFP's log-determinant.

    One value includes the batch axes of the bijector's parameters, since TFP broadcasts over
    them itself. The parameters are not leaves, so make the map where it is used. TFP computes in
    the precision of the parameters.
    """

    wrapped: _ByIdentity = eqx.field(static=True)
    ndims: int = eqx.field(static=True)

    @property
    def event_ndims(self) -> int:
        return self.ndims

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return tuple(self.wrapped.content.inverse_event_shape(event_shape))

    def image(self, y: Float[Array, "..."]) -> Image:
        theirs, ours = self.wrapped.content, self._cast(y)
        value = jnp.asarray(theirs.forward(ours))
        log_det = jnp.asarray(theirs.forward_log_det_jacobian(ours, event_ndims=y.ndim))
        return bijection(value.astype(y.dtype), log_det.astype(y.dtype))

    def inverse(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        return jnp.asarray(self.wrapped.content.inverse(self._cast(x))).astype(x.dtype)

    def _cast(self, value: Array) -> Array:
        """Copy a value to the precision of the parameters, which TFP requires."""
        # A copy, since TFP returns the inverse of its last result from a cache.
        return jnp.array(value, _precision_of(self.wrapped.content) or value.dtype, copy=True)


def _precision_of(bijector: Any) -> Any:
    """Return the dtype of a bijector's parameters, or of those of its parts."""
    if bijector.dtype is not None:
        return bijector.dtype
    parts = [*getattr(bijector, "bijectors", ()), getattr(bijector, "bijector", None)]
    found = [_precision_of(part) for part in parts if part is not None]
    return next((dtype for dtype in found if dtype is not None), None)


def bijector_from_tfp(bijector: Any, event_ndims: int | None = None) -> TfpBijector:
    """Wrap a bijector of TFP as one of our maps.

    Args:
        bijector: Instance of `tfp.bijectors.Bijector` from one tensor to one tensor.
        event_ndims: Rank of one value; by default the rank of the bijector's events plus the
            number of batch axes of its parameters.
    """
    if event_ndims is None:
        batch = len(bijector.experimental_batch_shape())
        event_ndims = batch + int(bijector.inverse_min_event_ndims)
    return TfpBijector(_ByIdentity(bijector), event_ndims)
