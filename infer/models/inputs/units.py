"""Refuse values with units, which JAX would strip: say how to convert them to numbers."""

from collections.abc import Iterator
from typing import Any

import jax

from ...errors import ModelError

# How a value with units becomes a number in a unit, by the attributes that such values have: unxt's
# first, whose values have the others' too.
_CONVERSIONS = {
    ("ustrip",): 'x.ustrip("{}")',
    ("to_value",): 'x.to_value("{}")',
    ("to", "magnitude"): 'x.to("{}").magnitude',
}


def has_units(value: Any) -> bool:
    """Return whether a value has a unit and a conversion, as those of astropy, pint and unxt have.

    No such library is imported. Arrays of xarray, whose units are a remark, have none here.
    """
    return _find_unit(value) is not None


def refuse_units(where: str, value: Any, what: str = "it") -> None:
    """Raise if a value, or an entry of a list, has units.

    Args:
        where: The argument or the site, for the error.
        value: Anything.
        what: What to call it in the error.

    Raises:
        ModelError: It has units; the message says how to convert it.
    """
    for entry in _entries(value):
        unit = _find_unit(entry)
        if unit is not None:
            raise ModelError(
                where,
                f"{what} has the unit {str(unit)!r}, which arrays cannot keep",
                "Give numbers, in the unit that the whole model is written in: "
                f"{_conversion(type(entry)).format(unit)}.",
            )


def refuse_units_inside(where: str, tree: Any, what: str = "a value given to it") -> None:
    """Raise if a value anywhere in a pytree has units; see `refuse_units`."""
    for leaf in jax.tree.leaves(tree, is_leaf=has_units):
        refuse_units(where, leaf, what)


def _entries(value: Any) -> Iterator[Any]:
    """Yield a value; of a list, however nested, one entry of each type."""
    if not isinstance(value, list | tuple):
        yield value
        return
    for kind, entry in dict(zip(map(type, value), value, strict=True)).items():
        if issubclass(kind, list | tuple):
            yield from (own for row in value if type(row) is kind for own in _entries(row))
        else:
            yield entry


def _find_unit(value: Any) -> Any:
    """Return the unit of a value that can be converted to numbers; `None` for all else."""
    kind = type(value)
    if not _conversion(kind):
        return None
    # A field may be a unit, as unxt's is, or a remark of the user's own class.
    fields = getattr(kind, "__dataclass_fields__", ())
    converts = hasattr(kind, "ustrip") or hasattr(kind, "to_value")
    for name in ("unit", "units"):
        if (name in fields and converts) or (name not in fields and hasattr(kind, name)):
            unit = getattr(value, name, None)
            if unit is not None:
                return unit
    return None


def _conversion(kind: type) -> str:
    found = (text for names, text in _CONVERSIONS.items() if all(hasattr(kind, n) for n in names))
    return next(found, "")
