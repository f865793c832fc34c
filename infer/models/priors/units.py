"""Refuse distributions, sets and maps whose parameters have units, however deep they are."""

from collections.abc import Iterator, Mapping
from typing import Any

from bijectors.base import Bijector, Constraint

from ..inputs.units import refuse_units
from .distributions import is_of_numpyro
from .tfp_kinds import is_of_tfp


def refuse_parameters_with_units(where: str, made: Any, what: str) -> None:
    """Raise if a parameter of a distribution, a set or a map, or of a part of it, has units.

    Args:
        where: The site, for the error.
        made: The distribution, set or map.
        what: What to call it in the error: "prior".

    Raises:
        ModelError: A parameter has units.
    """
    for name, value in _parameters(made).items():
        refuse_units(where, value, f"{name} of its {what}")
        for part in _parts(value):
            refuse_parameters_with_units(where, part, what)


def _parameters(made: Any) -> Mapping[str, Any]:
    # A distribution of TFP has only what it converted, but keeps what it was given.
    given = getattr(made, "parameters", None) if is_of_tfp(made) else None
    return given if isinstance(given, Mapping) else getattr(made, "__dict__", {})


def _parts(value: Any) -> Iterator[Any]:
    for each in value if isinstance(value, list | tuple) else (value,):
        if isinstance(each, Bijector | Constraint) or is_of_numpyro(each) or is_of_tfp(each):
            yield each
