"""Distributions of NumPyro's messages: their masks and scales, and whether data fit them."""

from typing import Any

import numpy as np
import numpyro.distributions as dist
from jax.core import Tracer
from jaxtyping import Array
from numpyro.distributions.distribution import (
    ExpandedDistribution,
    Independent,
    MaskedDistribution,
)

from ....errors import ModelError


def without_masks(fn: dist.Distribution) -> dist.Distribution:
    """Strip the masks of a distribution."""
    if isinstance(fn, MaskedDistribution):
        return without_masks(fn.base_dist)
    if isinstance(fn, ExpandedDistribution):
        return without_masks(fn.base_dist).expand(fn.batch_shape)
    if isinstance(fn, Independent):
        return without_masks(fn.base_dist).to_event(fn.reinterpreted_batch_ndims)
    return fn


def refuse_misfit(name: str, value: Array, fn: dist.Distribution, in_full: list[str]) -> None:
    """Raise if value and distribution broadcast to more rows than either has."""
    own = tuple(fn.shape())
    try:
        spread = np.broadcast_shapes(value.shape, own)
    except ValueError:
        spread = None
    if spread not in (value.shape, own):
        raise ModelError(
            name,
            f"the observed value has shape {value.shape}, but its distribution has batch shape "
            f"{tuple(fn.batch_shape)} and event shape {tuple(fn.event_shape)}",
            f"The plate {in_full[-1]!r} subsamples, but all its rows are used here: pass every "
            "row, or give the plate the size of the data and use numpyro.handlers.scale."
            if in_full
            else "Make the value's shape the batch shape followed by the event shape.",
        )


def is_scaled(scale: Any) -> bool:
    """Return whether a scale is not known to be one."""
    return scale is not None and (isinstance(scale, Tracer) or bool(np.any(np.not_equal(scale, 1))))


def refuse_scaled(name: str, scale: Any) -> None:
    """Raise if the log density of a site that is summed out is scaled."""
    if scale is not None:
        raise ModelError(
            name,
            "it is summed out, and numpyro.handlers.scale or a subsampled plate scales its density",
            "Use all rows, and no scale around the site.",
        )
