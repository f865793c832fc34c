"""Engines that run algorithms of BlackJAX, by their names."""

from dataclasses import MISSING, fields
from typing import Any

from ...calls import suggest_argument
from ...errors import EngineError
from ..base import Engine
from .adjusted_mclmc import AdjustedMCLMC
from .barker import Barker
from .chees import ChEES
from .elliptical import EllipticalSlice
from .library import library
from .mala import MALA
from .mclmc import MCLMC
from .nested import NestedSlice
from .stochastic_gradient import SGHMC, SGLD
from .tempered import TemperedSMC

ALGORITHMS: dict[str, type[Engine]] = {
    "adjusted_mclmc": AdjustedMCLMC,
    "barker": Barker,
    "chees": ChEES,
    "elliptical_slice": EllipticalSlice,
    "mala": MALA,
    "mclmc": MCLMC,
    "nested_slice": NestedSlice,
    "sghmc": SGHMC,
    "sgld": SGLD,
    "smc": TemperedSMC,
}


def BlackJAX(algorithm: str, **settings: Any) -> Engine:  # noqa: N802
    """Make an engine that runs an algorithm of BlackJAX.

    Args:
        algorithm: Name of the algorithm; the docs have a table.
        **settings: Settings of that engine.

    Returns:
        A frozen, hashable engine, for `infer.sample` and `infer.start`.

    Raises:
        EngineError: The name or a setting is unknown, a setting is invalid, a setting without a
            default is missing, or BlackJAX is not installed.
    """
    if algorithm not in ALGORITHMS:
        ours = {"nuts": "NUTS()", "hmc": "HMC()", "pathfinder": "Pathfinder()"}.get(algorithm)
        raise EngineError(
            "BlackJAX",
            f"the algorithm {algorithm!r} is unknown",
            f"Use our own, infer.{ours}." if ours else f"Choose one of {_list(ALGORITHMS)}.",
        )
    kind = ALGORITHMS[algorithm]
    known = {f.name: f.default is MISSING for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    where = f"BlackJAX({algorithm!r})"
    if unknown := sorted(settings.keys() - known.keys()):
        mend = f"{suggest_argument(unknown[0], known)} Its settings are {_list(known)}."
        raise EngineError(where, f"it has no setting {_list(unknown)}", mend)
    if missing := [name for name, needed in known.items() if needed and name not in settings]:
        raise EngineError(where, f"its setting {_list(missing)} has no default", "Give it by name.")
    library()
    return kind(**settings)


def _list(names: Any) -> str:
    return ", ".join(map(repr, names))
