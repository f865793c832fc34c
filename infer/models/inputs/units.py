"""Refuse values with units, which JAX would strip: say how to convert them to numbers."""

from typing import Any

import jax

from ...errors import ModelError

# How a value with units becomes a number in a unit, by an attribute that such values have: unxt's
# first, whose values have the others' too.
_CONVERSIONS = {
    "ustrip": 'x.ustrip("{}")',
    "to_value": 'x.to_value("{}")',
    "magnitude": 'x.to("{}").magnitude',
}


def has_units(value: Any) -> bool:
    """Return whether a value has units, as those of astropy, pint and unxt have.

    No such library is imported. Arrays of xarray, whose units are a remark, have none here.
    """
    kind = type(value)
    has_unit = hasattr(kind, "unit") or hasattr(kind, "units") or "unit" in _fields(kind)
    return has_unit and any(hasattr(kind, name) for name in _CONVERSIONS)


def refuse_units(where: str, value: Any, what: str = "it") -> None:
    """Raise if a value, or the first entry of a list, has units.

    Args:
        where: The argument or the site, for the error.
        value: Anything.
        what: What to call it in the error.

    Raises:
        ModelError: It has units; the message says how to convert it.
    """
    if isinstance(value, list | tuple) and value:
        value = value[0]
    if not has_units(value):
        return
    unit = str(getattr(value, "unit", None) or getattr(value, "units", ""))
    mend = next(text for name, text in _CONVERSIONS.items() if hasattr(value, name))
    raise ModelError(
        where,
        f"{what} has the unit {unit!r}, which arrays cannot keep",
        f"Give numbers, in the unit that the whole model is written in: {mend.format(unit)}.",
    )


def refuse_units_inside(where: str, tree: Any) -> None:
    """Raise if a value anywhere in a pytree has units; see `refuse_units`."""
    for leaf in jax.tree.leaves(tree, is_leaf=has_units):
        refuse_units(where, leaf, "a value given to it")


def _fields(kind: type) -> Any:
    return getattr(kind, "__dataclass_fields__", ())
