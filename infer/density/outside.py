"""Say which observed values their distribution cannot have."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..models.inputs.sharded import is_over_processes
from ..models.priors.prior import Prior, strip_axes
from ..models.protocol.reader import DelegatingReader, Reader
from ..types import Vector
from .base import LogDensity
from .explanation import format_value
from .readers import FlatReader


class _PriorReader(DelegatingReader):
    """Records the distribution and the value of one observation, unless it is in a scan."""

    def __init__(self, reader: Reader, name: str) -> None:
        super().__init__(reader)
        self.name = name
        self.found: tuple[Prior, Array] | None = None

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        seen = self.reader.observe(name, prior, value)
        if name == self.name and seen is not None:
            self.found = prior, seen
        return seen


def describe_outside(density: LogDensity, position: Vector, name: str) -> str:
    """Describe the first observed value outside the support of its distribution, at one point.

    Args:
        density: The log density.
        position: The point.
        name: Name of the observation.

    Returns:
        Text for a message; empty if all values are inside, or nothing of this name is observed.
    """
    reader = _PriorReader(FlatReader(position, density.model.rules, density.seen), name)
    with warnings.catch_warnings():
        # NumPyro warns of the same, without the value or its place.
        warnings.simplefilter("ignore")
        density.model.run(reader)
    if reader.found is None or is_over_processes(reader.found[1]):
        return ""
    prior, value = reader.found
    support: Any = prior.distribution.support
    outside = ~np.asarray(jnp.broadcast_to(support(value), prior.batch_shape))
    if not outside.any():
        return ""
    first = tuple(np.argwhere(outside)[0].tolist())
    shown = np.asarray(value)[first]
    kind = type(strip_axes(prior.distribution)).__name__
    where = f" at {list(first)}" if first else ""
    return f"{format_value(shown)}{where} is outside the support of {kind}, {support}"
