"""The distribution of an observation, broadcast to the observed shape."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from bijectors.base import Shape

from ....errors import ModelError
from ...inputs.precision import read_observed
from ...priors.prior import Prior
from ...priors.valued import refuse_unvalued
from ...protocol.layout import Plates, can_spread, lay_out, refuse_hidden
from ...protocol.site import Dims


def broadcast_to_value(
    name: str,
    distribution: dist.Distribution,
    value: Any,
    dims: Dims,
    plates: Plates,
    coords: Mapping[str, np.ndarray],
) -> Prior:
    """Broadcast a distribution to the observed shape, or to the sizes of its axes.

    Raises:
        ModelError: The value holds NaN or has another shape; only the score is known.
    """
    refuse_unvalued(name, distribution)
    own, event = tuple(distribution.batch_shape), tuple(distribution.event_shape)
    if value is None:
        laid = lay_out(name, own, event, dims, plates, coords)
        return Prior(distribution, laid.batch_shape)
    shown = jnp.asarray(read_observed(name, value))
    return Prior(distribution, _observed_batch(name, shown, own, event, plates))


def _observed_batch(name: str, value: Array, own: Shape, event: Shape, plates: Plates) -> Shape:
    if not can_spread(own + event, value.shape):
        raise ModelError(
            name,
            f"the observed value has shape {value.shape}, but its distribution has "
            f"batch shape {own} and event shape {event}",
            "Make the value's shape the batch shape followed by the event shape; to predict "
            "other data, give None.",
        )
    batch = value.shape[: value.ndim - len(event)]
    refuse_hidden(name, batch, plates)
    return batch
