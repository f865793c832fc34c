"""Draws of a posterior that are taken a few at a time: read from ArviZ data, or made by a fit."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Int

from bijectors.base import Shape

from ...counts import as_whole
from ...numerics.families.base import Distribution
from ...numerics.keys import make_key
from ...programs.native import call_compiled
from ..data.values import constrain_all
from ..fitted.approximation import Approximation
from ..fitted.optimum import Optimum
from .pointwise import refuse_misfit
from .simulate import as_jax_type
from .site_draws import flatten_draws
from .source import DRAWS, read_source

Values = dict[str, np.ndarray]


class DrawSource(NamedTuple):
    """Draws that are taken by their numbers.

    Attributes:
        number: How many there are.
        take: Returns the values of some draws, by name, shape (draws, *site).
    """

    number: int
    take: Callable[[Int[np.ndarray, "draws"]], Values]


def find_draws(
    posterior: Any, draws: int | None, key: int | Array, sites: Mapping[str, Shape]
) -> DrawSource:
    """Find the draws of a posterior; those of an approximation are made when they are taken.

    Args:
        posterior: What `read_source` takes. An `Optimum` is one draw.
        draws: Number of draws of an approximation.
        key: A seed or a JAX key; each draw depends on it and on its own number alone.
        sites: Shape of each latent site of the model.

    Raises:
        ModelError: The posterior does not fit the model.
        RunError: A number of draws is given for a posterior that has its own.
    """
    if isinstance(posterior, Approximation):
        return _draw_from(posterior, DRAWS if draws is None else draws, key, sites)
    count = 1 if isinstance(posterior, Optimum) and draws is None else draws
    source = read_source(posterior, count, key)
    refuse_misfit(sites, source.values, None)
    flat = {name: flatten_draws(source.values[name]) for name in sites}

    def take(numbers: np.ndarray) -> Values:
        return {name: as_jax_type(a[numbers]) for name, a in flat.items()}

    return DrawSource(source.lead[0] * source.lead[1], take)


def _draw_from(
    fit: Approximation, draws: int, key: int | Array, sites: Mapping[str, Shape]
) -> DrawSource:
    own = {s.name: np.broadcast_to(0.0, (1, 1, *s.shape)) for s in fit.density.latent}
    refuse_misfit(sites, own, None)
    root = make_key(key)

    def take(numbers: np.ndarray) -> Values:
        each = numbers.astype(np.uint32)
        positions = call_compiled(_draw_each, fit.distribution, root, each)
        values = constrain_all(fit.density, np.asarray(positions))
        return {name: values[name] for name in sites}

    return DrawSource(as_whole("draws", draws, 1), take)


def _draw_each(distribution: Distribution, root: Array, numbers: Array) -> Array:
    def one(number: Array) -> Array:
        key, dtype = jax.random.fold_in(root, number), distribution.location.dtype
        return distribution.forward(jax.random.normal(key, (distribution.size,), dtype))

    return jax.vmap(one)(numbers)
