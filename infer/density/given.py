"""Start chains at values: those that a user gives, or those that the model was made with."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.errors import BijectorError

from ..errors import StartError
from ..models.readers import Values
from ..programs.native import call_compiled
from .base import LogDensity
from .chain_starts import ChainStart
from .family import Family, naming_member
from .points import (
    CANDIDATES,
    Points,
    are_usable,
    evaluate_attempts,
    evaluate_lanes,
    members_of_lanes,
    select_lanes,
)
from .unusable import refuse_unusable

MEND = "Give values where every term is finite."


def evaluate_given(family: Family, wanted: Sequence[ChainStart]) -> Points:
    """Evaluate starts that are given for all chains.

    Raises:
        StartError: One is not usable.
        ModelError: Given values are missing, of a wrong shape, or outside their set.
    """
    positions = _flatten_given(family, wanted, np.empty((len(wanted), 0)))
    return refuse_unusable(family, evaluate_lanes(family, positions), "at the start", MEND)


def insert_given(
    family: Family, key: np.ndarray, wanted: Sequence[ChainStart], found: Points
) -> Points:
    """Replace the starts found by values that were given for some chains.

    Raises:
        StartError: They are not usable. (The model's own initial values are skipped instead.)
    """
    asked = np.array([isinstance(start, Mapping) or start == "initial" for start in wanted])
    if not asked.any():
        return found
    positions = _flatten_given(family, wanted, found.positions)
    # In the shape that the search has compiled.
    again = np.broadcast_to(positions, (CANDIDATES, *positions.shape))
    given = Points(*(array[0] for array in evaluate_attempts(family, key, again)))
    must = np.array([isinstance(start, Mapping) for start in wanted])
    refuse_unusable(family, select_lanes(must, given, found), "at the start", MEND)
    return select_lanes(asked & are_usable(given), given, found)


def _flatten_given(family: Family, wanted: Sequence[ChainStart], found: np.ndarray) -> np.ndarray:
    """Flatten the values given for some chains; keep the positions found for the others."""
    members = [family.member(i) for i in range(family.count)]
    rows = []
    for own, start, row in zip(members_of_lanes(family, len(wanted)), wanted, found, strict=True):
        if isinstance(start, Mapping):
            with naming_member(family, int(own)):
                rows.append(_flatten_values_of_user(members[own], start))
        else:
            rows.append(_flatten_initial(members[own]) if start == "initial" else row)
    return np.stack(rows)


def _flatten_values_of_user(density: LogDensity, start: Mapping[str, Any]) -> np.ndarray:
    """Flatten values that the user gave; refuse those on the edge of a set that includes it."""
    flat = np.asarray(density.unconstrain(start))
    inside = np.isfinite(flat)
    if not inside.all():
        where = density.labels()[int(np.argmin(inside))]
        found = "its starting value is on the edge of its set, at infinity in unconstrained space"
        raise StartError(where, found, "Give a value inside the set.")
    return flat


def _flatten_initial(density: LogDensity) -> np.ndarray:
    """Flatten the values that a model was made with.

    Entries outside their sets are not finite; if a map has no inverse, none is.
    """
    initial = density.model.initial_values()
    values = {site.name: initial[site.name] for site in density.latent}
    try:
        return np.asarray(call_compiled(flatten_values, density, values, form="fast_compile"))
    except BijectorError:
        return np.full(density.size, np.nan)


def flatten_values(density: LogDensity, values: dict[str, Array]) -> Array:
    """Map constrained values of all latent sites to the flat vector, without checking them."""
    reader = Values(values, density.model.rules)
    density.model.run(reader)
    return reader.flattener.flat().astype(jnp.result_type(float))
