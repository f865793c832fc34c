"""Tell an engine of approximations what it must know of a model: sites, and passes over data."""

import math
from collections.abc import Sequence

from ...density.family import make_family
from ...density.slices import find_slices
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
    return engine.bind(find_slices(density.latent), max(passes, default=None))
