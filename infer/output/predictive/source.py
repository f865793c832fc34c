"""Where values of a posterior come from: ArviZ data, approximations, modes, arrays by name."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray
from jaxtyping import Array

from ...counts import as_whole
from ...errors import ModelError, RunError
from ...loaded import is_of_class
from ...models.inputs.names import join_names
from ...models.inputs.stacked import are_several, models_in
from ...models.model import Model
from ...models.protocol.site import Dims
from ...numerics.keys import make_key
from ..data.arviz import SET
from ..data.flat_site import rejoin
from ..data.versions import groups_of
from ..kinds import FITTED
from .site_draws import read_lazily, select_set

# Default number of draws of an approximation, or of predictions at a mode.
DRAWS = 1000


class Source(NamedTuple):
    """Values of a posterior, and what else came with them.

    Attributes:
        values: Arrays of shape (chains, draws, *site), or (chains, draws, data sets, *site); those
            of ArviZ data are read when they are used, a few draws at a time.
        dims: Names of the axes of each site, if they are known.
        coords: Coordinates of the named axes.
        lead: Numbers of chains and draws.
        sets: Number of data sets; `None` for a single one.
        groups: All groups of ArviZ data, by name; empty for arrays by name.
        given: The ArviZ data that they came from, if any.
    """

    values: dict[str, Any]
    dims: Mapping[str, Dims]
    coords: Mapping[str, np.ndarray]
    lead: tuple[int, int]
    sets: int | None
    groups: dict[str, xarray.Dataset]
    given: Any

    def of_set(self, index: int) -> "Source":
        """Return the values of one of several data sets."""
        values = {name: select_set(a, index) for name, a in self.values.items()}
        groups = {n: g.isel({SET: index}) for n, g in self.groups.items() if SET in g.dims}
        return self._replace(values=values, sets=None, groups=groups)


def read_source(found: Any, draws: int | None, key: int | Array) -> Source:
    """Read the values of a posterior.

    Args:
        found: ArviZ data with a posterior, arrays by name, an `Approximation` or an `Optimum`; or
            a list with one of the last two for each of several models.
        draws: Number of draws of an approximation, or how often a mode is repeated; 1000 by
            default.
        key: Seed of the draws of an approximation.

    Raises:
        ModelError: There is no posterior, or its values do not share axes of chains and draws.
        RunError: A number of draws is given for draws that exist already.
    """
    several = isinstance(found, Sequence) and not isinstance(found, str) and len(found) > 0
    first = found[0] if several else found
    fitted = any(is_of_class(first, name) for name in FITTED)
    if not fitted:
        _refuse_draws(draws)
        return _read_groups(found)
    count = DRAWS if draws is None else as_whole("draws", draws, 1)
    if not several:
        return _read_fitted(found, count, key)
    keys = jax.random.split(make_key(key), len(found))
    each = [_read_fitted(own, count, k) for own, k in zip(found, keys, strict=True)]
    values = {n: np.stack([own.values[n] for own in each], 2) for n in each[0].values}
    return each[0]._replace(values=values, sets=len(each), groups={}, given=None)


def pair_with_models(
    model: Model | Sequence[Model], source: Source, key: int | Array
) -> tuple[int | None, Iterator[tuple[Model, Source, Any]]]:
    """Pair each model with its values and a key; return the number of data sets first.

    Raises:
        ModelError: The values are those of another number of models.
    """
    models = models_in(model)
    sets = source.sets if are_several(model) else None
    if (sets or 1) != len(models):
        raise ModelError(
            "posterior",
            f"it has draws of {sets or 'one'} and not of {len(models)} models",
            "Give the models that were sampled; posterior.sel(dataset=i) has the draws of one.",
        )
    keys = [key] if sets is None else list(jax.random.split(make_key(key), sets))
    each = [source] if sets is None else map(source.of_set, range(sets))
    return sets, zip(models, each, keys, strict=True)


def _refuse_draws(draws: int | None) -> None:
    if draws is not None:
        raise RunError(
            "draws",
            "the number of draws is given, but the posterior has its own",
            "Leave it out; posterior.isel(draw=slice(100)) has fewer draws.",
        )


def _read_fitted(found: Any, count: int, key: int | Array) -> Source:
    if is_of_class(found, FITTED[0]):
        return _read_groups(found.sample(count, key))
    values = {
        name: np.broadcast_to(value, (1, count, *np.shape(value)))
        for name, value in found.values.items()
    }
    dims = {site.name: site.dims for site in found.density.sites}
    return Source(values, dims, found.density.model.labels.coords, (1, count), None, {}, None)


def _read_groups(found: Any) -> Source:
    values = read_draws(found)
    lead = read_chains_and_draws(values)
    if is_by_name(found):
        return Source(values, {}, {}, lead, None, {}, None)
    groups = groups_of(found)
    posterior = _sort_axes(groups["posterior"])
    sets = dict(posterior.sizes).get(SET)
    axes = 2 if sets is None else 3
    dims = {str(n): tuple(map(str, a.dims[axes:])) for n, a in posterior.data_vars.items()}
    coords = {str(n): np.asarray(a) for n, a in posterior.coords.items()}
    return Source(values, dims, coords, lead, sets, groups, found)


def read_values(result: Any) -> Mapping[str, Any]:
    """Read values by name from an `Optimum`, from ArviZ data, or as they are."""
    if is_of_class(result, FITTED[1]):
        return result.values
    if is_by_name(result):
        return result
    return {name: np.asarray(a) for name, a in read_draws(result).items()}


def read_draws(result: Any) -> dict[str, Any]:
    """Read values by name from ArviZ data, lazily, or as they are."""
    if is_by_name(result):
        return dict(result)
    try:
        posterior = rejoin(result)
    except (KeyError, TypeError) as error:
        raise ModelError(
            "result",
            f"a {type(result).__name__} has no posterior",
            "Give an Optimum, ArviZ data with a posterior, or values by name. For draws of the "
            "prior, call infer.sample_prior(model).",
        ) from error
    return read_lazily(_sort_axes(posterior))


def is_by_name(given: Any) -> bool:
    """Return whether values are given by the names of sites, not as ArviZ data or a group of it."""
    is_group = hasattr(given, "dims") and hasattr(given, "coords")
    return isinstance(given, Mapping) and "posterior" not in given and not is_group


def _sort_axes(posterior: Any) -> xarray.Dataset:
    """Let the axes of chains, draws and data sets come first, as they do in our results."""
    posterior = posterior.to_dataset() if hasattr(posterior, "to_dataset") else posterior
    for dim in ("chain", "draw"):
        if dim not in posterior.dims:
            raise ModelError(
                "posterior",
                f"it has no dimension {dim!r}, but {join_names(map(str, posterior.dims))}",
                "Give ArviZ data as infer.sample returns them; posterior.isel(chain=[0]) keeps the "
                "dimension of one chain.",
            )
    return posterior.transpose("chain", "draw", SET, ..., missing_dims="ignore")


def read_chains_and_draws(given: Mapping[str, Any]) -> tuple[int, int]:
    """Return the numbers of chains and draws, which all values must share."""
    shapes = {np.shape(array)[:2] for array in given.values()}
    if len(shapes) != 1 or len(lead := shapes.pop()) != 2:
        raise ModelError(
            "posterior",
            "its values do not have the same leading axes of chains and draws",
            "Give ArviZ data with a posterior, as infer.sample or Approximation.sample return.",
        )
    return lead
