"""Engines by name and settings, from a table of our own; a stored name is never imported."""

from dataclasses import fields
from typing import Any

from ..engines.advi import ADVI
from ..engines.base import Engine
from ..engines.blackjax import ALGORITHMS
from ..engines.hmc import HMC
from ..engines.map import MAP
from ..engines.nuts import NUTS
from ..errors import RunError

ENGINES = {kind.__name__: kind for kind in (HMC, NUTS, ADVI, MAP, *ALGORITHMS.values())}


def describe_engine(engine: Engine) -> dict[str, Any]:
    """Describe an engine in plain values; settings that are not plain are left out by name."""
    settings = {f.name: getattr(engine, f.name) for f in fields(engine)}  # pyright: ignore[reportArgumentType]
    plain = {n: v for n, v in settings.items() if isinstance(v, str | int | float | None)}
    missing = sorted(settings.keys() - plain.keys())
    return {"name": type(engine).__name__, "settings": plain, "missing": missing}


def make_engine(described: dict[str, Any]) -> Engine:
    """Make the engine that was described.

    Raises:
        RunError: It is not one of this library's, or has settings that cannot be stored.
    """
    name, missing = described["name"], described["missing"]
    if name not in ENGINES or missing:
        why = (
            f"the settings {', '.join(missing)} of its {name} are Python objects"
            if name in ENGINES
            else f"its engine {name} is not one of this library's"
        )
        raise RunError("engine", f"{why}, which are not stored", "Give it again: engine=...")
    return ENGINES[name](**described["settings"])
