"""The names of families."""

import difflib

from ...errors import EngineError
from .base import Family
from .blocks import Blocks
from .flow import Flow
from .full_rank import FullRank
from .low_rank import LowRank
from .mean_field import MeanField

KINDS = {kind.__name__: kind for kind in (MeanField, FullRank, LowRank, Flow, Blocks)}
FAMILIES: dict[str, Family] = {
    family.name: family for family in (MeanField(), FullRank(), LowRank(), Flow())
}


def find_family(engine: str, family: str | Family) -> Family:
    """Return the family of a name, or the family itself.

    Raises:
        EngineError: There is no family of this name; the message suggests the closest one.
    """
    if isinstance(family, Family):
        return family
    found = FAMILIES.get(family) if isinstance(family, str) else None
    if found is None:
        close = difflib.get_close_matches(str(family), FAMILIES, 1)
        names = ", ".join(f'"{name}"' for name in FAMILIES)
        raise EngineError(
            engine,
            f"family is {family!r}",
            (f'Did you mean "{close[0]}"? ' if close else "")
            + f"Choose one of {names}, or give settings such as infer.LowRank(rank=10).",
        )
    return found
