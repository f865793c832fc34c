"""Tell an engine that moves sites by name where they are in the flat vector."""

from typing import Any

from ..density.family import Family
from ..density.slices import find_slices
from ..engines.base import Engine
from ..loaded import is_of_class


def bind_sites(engine: Any, family: Family) -> Engine:
    """Return the engine for these log densities; only `Gibbs` must know their sites.

    Raises:
        EngineError: Its blocks do not fit the sites.
    """
    return engine.bind(find_slices(family.shared.latent)) if is_gibbs(engine) else engine


def is_gibbs(engine: Engine) -> bool:
    """Return whether an engine is `Gibbs`."""
    return is_of_class(engine, "infer.engines.gibbs.Gibbs")
