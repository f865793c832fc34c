"""Groups of a result that are made on request."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray

from ...density.family import Family
from ...errors import RunError
from ...models.inputs.stacked import models_in
from ...run.run import Run
from ..data.arviz import SET, make_dataset
from ..data.drawn import split_by_dataset
from ..data.extended import add_groups

if TYPE_CHECKING:
    from .rowwise import Part

PARTS: "tuple[Part, ...]" = ("log_likelihood", "log_prior")
WARMUP = "warmup"
UNCONSTRAINED = "unconstrained_posterior"
NAMES = (*PARTS, UNCONSTRAINED, WARMUP)


def read_request(include: str | Sequence[str], model: Any) -> tuple[str, ...]:
    """Read the names of requested groups, and refuse what the model does not have.

    Raises:
        RunError: There is no such group.
        ModelError: The model has no log likelihood of rows, or no log prior.
    """
    if isinstance(include, bytes) or not isinstance(include, Collection):
        mend = f"Give some of {', '.join(map(repr, NAMES))}, in a list."
        raise RunError("include", f"{include!r} was given", mend)
    names = (include,) if isinstance(include, str) else tuple(include)
    for name in names:
        if name not in NAMES:
            close = get_close_matches(str(name), NAMES, 1, 0.4)
            meant = f"Did you mean {close[0]!r}? " if close else ""
            raise RunError(
                "include",
                f"{name!r} is not a group that can be included",
                f"{meant}Give some of {', '.join(map(repr, NAMES))}; posterior, sample_stats, "
                "observed_data and constant_data are always there, and infer.predict adds "
                "predictions.",
            )
    for name in PARTS:
        if name in names:
            from .pointwise import outline_part

            outline_part(models_in(model)[0], name)
    return names


def keep_requested(run: Run, names: Sequence[str]) -> None:
    """Make a new run keep its warm-up draws, if they are requested."""
    if WARMUP in names:
        run.warmup = replace(run.warmup, kept=())


def add_requested(data: Any, run: Run, names: Sequence[str]) -> Any:
    """Return a result with the requested groups; those of warm-up are there already."""
    makers: dict[str, Callable[[], xarray.Dataset]] = {
        UNCONSTRAINED: lambda: split_positions(run.family, run.draws().positions),
        **{part: (lambda part=part: _compute(data, run, part)) for part in PARTS},
    }
    groups = {name: make() for name, make in makers.items() if name in names}
    return add_groups(data, groups) if groups else data


def _compute(data: Any, run: Run, part: "Part") -> xarray.Dataset:
    from .pointwise import outline_part
    from .rowwise import compute_part
    from .source import read_draws

    models = [run.family.member(i).model for i in range(run.family.count)]
    sets = len(models) if len(models) > 1 else None
    return compute_part(models, read_draws(data), part, outline_part(models[0], part), sets)


def split_positions(family: Family, positions: np.ndarray) -> xarray.Dataset:
    """Return the pieces of the flat vector by the names of their sites.

    Args:
        family: The log densities.
        positions: Shape (chains of all densities, draws, size).
    """
    sites, count = family.member(0).latent, family.count
    ends = np.cumsum([np.prod(site.unconstrained_shape, dtype=int) for site in sites])[:-1]
    pieces = zip(sites, np.split(positions, ends, axis=-1), strict=True)
    arrays = {s.name: a.reshape(*a.shape[:2], *s.unconstrained_shape) for s, a in pieces}
    if count == 1:
        return make_dataset({}, {}, arrays)
    each = {name: split_by_dataset(a, count) for name, a in arrays.items()}
    return make_dataset({}, {}, each, ("chain", "draw", SET))
