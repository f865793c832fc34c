"""Map positions of the flat vector to named values and back, in slices of fixed size."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...density.observed import find_observed
from ...density.once import SiteStack
from ...programs.interpreted import interpret_entries
from ...programs.native import call_compiled, prepare
from ...programs.slices import call_in_slices, choose_form, choose_rows


def prepare_values(density: LogDensity, is_single: bool = True) -> None:
    """Start to compile the programs of `constrain_all`, if it is used, and `compute_observed`."""
    if is_single and find_plain_map(density) is None:
        prepare(constrain_rows, (), (density, _make_blank(density)), choose_form(density.size))
    if find_observed(density) is None:
        prepare(_observe, (), (density,), "kernels")


def find_plain_map(density: LogDensity) -> Any:
    """Return `constrain_rows` by NumPy if it is simple and data play no part in it; else None."""
    return interpret_entries(constrain_rows, density, _make_blank(density))


def _make_blank(density: LogDensity) -> np.ndarray:
    return np.zeros((choose_rows(density.size), density.size), jnp.result_type(float))


def constrain_all(density: LogDensity, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Map positions of shape (*batch, size) to values of shape (*batch, *site).

    Returns:
        Latent and derived values by name, in the order of the model.
    """
    batch, size = positions.shape[:-1], positions.shape[-1]
    flat, form = positions.reshape(-1, size), choose_form(size)
    compiled = partial(call_compiled, constrain_rows, form=form)
    # Slices have a fixed size, so that another number of draws compiles nothing.
    call = partial(find_plain_map(density) or compiled, density)
    values = split_stacks(density, call_in_slices(call, flat, choose_rows(size)), 1)
    return {name: a.reshape(batch + a.shape[1:]) for name, a in values.items()}


def constrain_rows(density: LogDensity, positions: Array) -> list[SiteStack]:
    """Map positions of shape (rows, size) to values of shape (rows, sites, *site); traced."""
    return jax.vmap(density.constrain_in_stacks)(positions)


def split_stacks(density: LogDensity, stacks: list[SiteStack], axis: int) -> dict[str, np.ndarray]:
    """Return latent and derived values by name; the sites are along an axis of the stacks."""
    values = {}
    for stack in stacks:
        each = np.ascontiguousarray(np.moveaxis(stack.values, axis, 0))
        values |= dict(zip(stack.names, each, strict=True))
    sites = (site for site in density.sites if site.role in ("latent", "derived"))
    return {site.name: values[site.name] for site in sites}


def unconstrain_all(density: LogDensity, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """Map values of all latent sites to positions, which `constrain_all` maps to them.

    Args:
        density: The log density.
        values: By name, shape (*batch, *site), of at least one point.

    Returns:
        Positions, shape (*batch, size), up to rounding.
    """
    batch = [np.shape(values[s.name])[: -len(s.shape) or None] for s in density.latent][0]
    flat = {s.name: np.reshape(values[s.name], (-1, *s.shape)) for s in density.latent}
    rows = choose_rows(density.size)
    positions = call_in_slices(lambda own: call_compiled(_unconstrain, density, own), flat, rows)
    return positions.reshape(*batch, density.size)


def _unconstrain(density: LogDensity, values: dict[str, Array]) -> Array:
    return jax.vmap(density.unconstrain)(values)


def compute_observed(density: LogDensity) -> dict[str, np.ndarray]:
    """Return the observed data of a model, by name, on the host."""
    given = find_observed(density)
    if given is not None:
        return given
    found = call_compiled(_observe, density)
    return {name: np.asarray(a) for name, a in found.items()}


def _observe(density: LogDensity) -> dict[str, Array]:
    return density.observed()
