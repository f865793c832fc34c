"""Tell an engine of approximations what it must know of a model: sites, and passes over data."""

import math
from collections.abc import Sequence

import numpy as np

from ...density.base import LogDensity
from ...density.family import make_family
from ...engines.approximating import Approximator
from ...models.model import Model


def bind_engine(engine: Approximator, model: Model | Sequence[Model]) -> Approximator:
    """Return the engine for a model; see `Approximator.bind`.

    Raises:
        EngineError: The engine does not fit the model.
        ModelError: The model cannot be used.
    """
    density = make_family(model, jacobian=True).member(0)
    passes = [math.ceil(plate.size / plate.seen) for plate in density.minibatches]
    return engine.bind(_find_slices(density), max(passes, default=None))


def _find_slices(density: LogDensity) -> dict[str, slice]:
    """Find where each site is in the flat vector."""
    sizes = [int(np.prod(site.unconstrained_shape)) for site in density.latent]
    ends = np.cumsum(sizes).tolist()
    return {
        site.name: slice(end - size, end)
        for site, size, end in zip(density.latent, sizes, ends, strict=True)
    }
