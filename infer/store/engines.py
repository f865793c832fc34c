"""Engines by name and settings, from a table of our own; a stored name is never imported."""

from dataclasses import fields
from typing import Any

import numpy as np

from ..engines.advi import ADVI
from ..engines.base import Engine
from ..engines.batch_and_match import BatchAndMatch
from ..engines.blackjax import ALGORITHMS
from ..engines.dadvi import DADVI
from ..engines.differential_evolution import DEMetropolis
from ..engines.gibbs import Gibbs
from ..engines.hmc import HMC
from ..engines.laplace import Laplace
from ..engines.map import MAP
from ..engines.nuts import NUTS
from ..engines.pathfinder import Pathfinder
from ..engines.random_walk import RandomWalk
from ..engines.slice import Slice
from ..errors import RunError
from ..numerics.families.base import Family
from ..numerics.families.named import KINDS

WITHOUT_GRADIENT = (RandomWalk, DEMetropolis, Slice)
OWN = (HMC, NUTS, ADVI, BatchAndMatch, DADVI, Laplace, MAP, Pathfinder, *WITHOUT_GRADIENT, Gibbs)
ENGINES = {kind.__name__: kind for kind in (*OWN, *ALGORITHMS.values())}


def describe_engine(engine: Engine) -> dict[str, Any]:
    """Describe an engine in plain values; settings that are not plain are left out by name."""
    settings = {f.name: _as_plain(getattr(engine, f.name)) for f in fields(engine)}  # pyright: ignore[reportArgumentType]
    plain = {n: v for n, v in settings.items() if isinstance(v, str | int | float | dict | None)}
    missing = sorted(settings.keys() - plain.keys())
    return {"name": type(engine).__name__, "settings": plain, "missing": missing}


def can_make(described: dict[str, Any]) -> bool:
    """Return whether the engine that was described can be made from its description."""
    return described["name"] in ENGINES and not described["missing"]


def make_engine(described: dict[str, Any]) -> Engine:
    """Make the engine that was described.

    Raises:
        RunError: It is not one of this library's, or has settings that cannot be stored.
    """
    name, missing = described["name"], described["missing"]
    if not can_make(described):
        why = (
            f"the settings {', '.join(missing)} of its {name} are Python objects"
            if name in ENGINES
            else f"its engine {name} is not one of this library's"
        )
        raise RunError("engine", f"{why}, which are not stored", "Give it again: engine=...")
    return ENGINES[name](**{n: _from_plain(v) for n, v in described["settings"].items()})


def find_other_settings(settings: dict[str, Any], given: Any) -> list[str]:
    """Name the stored settings that an engine or a ladder does not have.

    Args:
        settings: The settings in plain values, by name.
        given: The engine or the ladder.
    """
    own = {name: _as_plain(getattr(given, name, None)) for name in settings}
    # An array is never a plain value.
    return [n for n, value in settings.items() if np.ndim(own[n]) or bool(own[n] != value)]


def _as_plain(value: Any) -> Any:
    """Describe a family of distributions in plain values; leave any other value as it is."""
    if isinstance(value, tuple):
        return [_as_plain(own) for own in value]
    if not isinstance(value, Family):
        return value
    settings = {f.name: _as_plain(getattr(value, f.name)) for f in fields(value)}  # pyright: ignore[reportArgumentType]
    return {"family": type(value).__name__, "settings": settings}


def _from_plain(value: Any) -> Any:
    """Make the family that was described."""
    if isinstance(value, list):
        return tuple(map(_from_plain, value))
    if not isinstance(value, dict):
        return value
    settings = {n: _from_plain(v) for n, v in value["settings"].items()}
    return KINDS[value["family"]](**settings)
