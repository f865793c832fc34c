"""Say why a chain cannot start at a point: which terms are not finite there."""

import jax.numpy as jnp
import numpy as np

from ..errors import StartError
from ..models.inputs.names import join_names
from ..programs.switch import is_native_allowed
from .base import LogDensity
from .family import Family
from .points import Points, are_usable, members_of_lanes

_NATIVE_MEND = (
    "The native form of the program may be wrong: turn it off by infer.native(False), and if that "
    "helps, please report it with the model. "
)


def _describe_infinite_data(density: LogDensity) -> str:
    """Describe which data hold infinite numbers, and where; return "" if none do."""
    found = []
    for name, array in density.model.constants().items():
        bad = np.isinf(array) if np.issubdtype(array.dtype, np.inexact) else np.zeros(0, bool)
        if bad.any():
            first = tuple(np.argwhere(bad)[0].tolist())
            found.append(f"{name} holds {array[first]} at {list(first)}, {bad.sum()} in all")
    return "; ".join(found)


def refuse_unusable(family: Family, points: Points, which: str, mend: str) -> Points:
    """Return the starts of all lanes, unless one is not usable.

    Args:
        family: The log densities.
        points: A point for each lane.
        which: Which point of a lane this is, for the message.
        mend: What to do about it.

    Raises:
        StartError: The message names the terms that are not finite there.
    """
    usable = are_usable(points)
    if usable.all():
        return points
    # Few searches fail.
    from .explanation import explain_at
    from .outside import describe_outside

    lane = int(np.argmin(usable))
    member = int(members_of_lanes(family, len(usable))[lane])
    which = f"of models[{member}], {which}" if family.count > 1 else which
    density, position = family.member(member), jnp.asarray(points.positions[lane])
    at = explain_at(density, position)
    first, *more = [line for line in (*at.lines, at.total) if line.trouble] or [at.total]
    names = [line.name for line in more if line is not at.total]
    also = f"; also not finite: {join_names(names)}" if names else ""
    found = f"its {first.trouble or 'log density is not finite'}, {which} {at.point}{also}"
    if not first.trouble:
        found = f"{found}; but all of its terms are, if they are compiled otherwise"
        mend = _NATIVE_MEND * is_native_allowed() + mend
    if infinite := _describe_infinite_data(density):
        found = f"{found}; {infinite}"
        mend = f"Look at these data first. {mend}"
    elif outside := describe_outside(density, position, first.name):
        found = f"{found}; {outside}"
        mend = f"Correct this value, or observe it from another distribution. {mend}"
    raise StartError(first.name, found, mend)
