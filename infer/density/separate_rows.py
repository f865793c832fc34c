"""Find whether the weights of a model's layers may be drawn for each row of its data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from ..programs.flat_steps import trace_steps
from ..programs.native import call_compiled
from ..programs.row_noise import RowNoise, draw_by_rows, find_products
from ..types import Vector
from .base import LogDensity


def explain_shared_noise(density: LogDensity) -> str | None:
    """Return why all rows must share the draws of the weights; `None` if each can have its own.

    Rows are separate if each entry of the likelihood depends on one row of the products. That is
    tried with the noise of the first row set to NaN, and then with that of all others.

    Args:
        density: A log density that offers "parts".
    """
    seen = density.at(jax.random.key(0))
    program = trace_steps(lambda x: _list_rows(seen, x), jnp.zeros(density.size))
    products = find_products(program, density.size).values()
    if not products:
        return "no weights with identity maps are multiplied with rows of data, and used once"
    sizes = {product.rows for product in products}
    if len(sizes) > 1:
        return f"its layers see different numbers of rows: {', '.join(map(str, sorted(sizes)))}"
    (size,) = sizes
    is_first = np.arange(size) == 0
    factors = np.where(np.stack([is_first, ~is_first]), np.nan, 1.0)
    by_first, by_others = call_compiled(_find_touched, seen, factors, form="fast_compile")
    if not by_first.any() or (by_first & by_others).any():
        return "its rows are not independent given the weights"
    return None


def _list_rows(density: LogDensity, position: Vector) -> Any:
    names = {site.name for site in density.latent}
    terms = density.read(position)[0].terms
    return [term.rows for term in terms if term.role != "prior" or term.name not in names]


def _find_touched(density: LogDensity, factors: Array) -> Bool[Array, "2 entries"]:
    """Return which entries of the likelihood are NaN if the noise is multiplied by each factor."""
    position = jnp.zeros(density.size)

    def find(factor: Array) -> Array:
        noise = RowNoise(position, position, jax.random.key(0), factor.astype(position.dtype))
        rows = draw_by_rows(lambda x: _list_rows(density, x), position, noise)
        return jnp.concatenate([jnp.isnan(own).ravel() for own in rows])

    return jax.vmap(find)(factors)
