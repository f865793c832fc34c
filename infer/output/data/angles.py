"""Angles of a posterior, which are judged by cosine and sine since their values jump at pi."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import xarray

from ..finding import Finding

AnyVariable = TypeVar("AnyVariable", xarray.DataArray, xarray.Variable)
# Attribute that marks an angle.
CIRCULAR = "circular"
# Ratio of plain to circular standard deviation above which draws lie on both sides of the jump.
CUT = 1.1


def mark_angles(posterior: xarray.Dataset, angles: Sequence[str]) -> xarray.Dataset:
    """Mark variables as angles in radians, by attributes that files keep."""
    for name in angles:
        if name in posterior:
            posterior[name].attrs.update({CIRCULAR: 1, "units": "rad"})
    return posterior


def is_angle(variable: xarray.DataArray | xarray.Variable) -> bool:
    """Return whether a variable is marked as an angle."""
    return bool(variable.attrs.get(CIRCULAR))


def cosine_and_sine(angle: AnyVariable) -> tuple[AnyVariable, AnyVariable]:
    """Compute cosine and sine, which are not angles."""
    bare = angle.copy()
    bare.attrs = {}
    return np.cos(bare), np.sin(bare)  # pyright: ignore[reportReturnType]


def replace_angles(posterior: xarray.Dataset) -> dict[str, xarray.Variable]:
    """List the variables, with each angle replaced by its cosine and sine."""
    found: dict[str, xarray.Variable] = {}
    for name in map(str, posterior):
        variable = posterior.variables[name]
        if is_angle(variable):
            cos, sin = cosine_and_sine(variable)
            found |= {f"cos {name}": cos, f"sin {name}": sin}
        else:
            found[name] = variable
    return found


def find_wrapped_angles(posterior: xarray.Dataset) -> Iterator[Finding]:
    """Report angles with draws on both sides of pi, whose plain means are meaningless."""
    angles = [str(name) for name in posterior if is_angle(posterior.variables[name])]
    cut = [name for name in angles if _is_wrapped(posterior.variables[name])]
    if cut:
        yield Finding(
            "wrapped_angles",
            f"draws of {', '.join(cut)} lie on both sides of pi, where an angle jumps to -pi: the "
            "plain mean, sd, R-hat and ESS that arviz.summary gives are meaningless.",
            "Summarize numpy.cos and numpy.sin of it, or with ArviZ 0.x give "
            f"circ_var_names={cut}. (This verdict is on cosine and sine.)",
            tuple(cut),
        )


def _is_wrapped(angle: xarray.Variable) -> bool:
    """Compare the plain and the circular standard deviation of each entry."""
    numbers = np.asarray(angle.transpose("chain", "draw", ...), np.float64)
    length = np.abs(np.exp(1j * numbers).mean((0, 1)))
    with np.errstate(divide="ignore"):
        circular = np.sqrt(-2 * np.log(np.minimum(length, 1.0)))
    return bool((numbers.std((0, 1)) > CUT * circular + 1e-6).any())
