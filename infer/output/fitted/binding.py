"""Tell an engine of approximations what it must know of a model: sites, and passes over data."""

import math
from collections.abc import Sequence
from functools import partial

from ...density.base import LogDensity
from ...density.family import make_family
from ...density.separate_rows import explain_shared_noise
from ...density.slices import find_slices
from ...engines.approximating import Approximator
from ...models.model import Model
from ...numerics.training import Batches


def bind_engine(
    engine: Approximator, model: Model | Sequence[Model], epochs: int | None = None
) -> Approximator:
    """Return the engine for a model; see `Approximator.bind`.

    Args:
        engine: The engine.
        model: The model, or several that share a program.
        epochs: Maximum number of epochs; `None` for the engine's own.

    Raises:
        EngineError: The engine does not fit the model.
        ModelError: The model cannot be used.
    """
    density = make_family(model, jacobian=True).member(0)
    return engine.bind(find_slices(density.latent), _find_batches(density, epochs))


def _find_batches(density: LogDensity, epochs: int | None) -> Batches | None:
    """Find how a fit goes through the data; `None` if it sees all of them at every step."""
    plates = density.minibatches
    if not plates:
        return None
    steps = max(math.ceil(plate.size / plate.seen) for plate in plates)
    rows = math.prod(plate.seen for plate in plates)
    explain = partial(explain_shared_noise, density)
    return Batches(rows, steps, epochs, "parts" in density.offers, explain)
