"""Tell an engine that moves sites by name where they are in the flat vector."""

from ..density.family import Family
from ..density.slices import find_slices
from ..engines.base import Engine
from ..engines.gibbs import Gibbs


def bind_sites(engine: Engine, family: Family) -> Engine:
    """Return the engine for these log densities; only `Gibbs` must know their sites.

    Raises:
        EngineError: Its blocks do not fit the sites.
    """
    is_gibbs = isinstance(engine, Gibbs)
    return engine.bind(find_slices(family.shared.latent)) if is_gibbs else engine
