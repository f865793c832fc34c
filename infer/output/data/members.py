"""Named values of the draws of many data sets: one program for parts of all of them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...density.family import Family
from ...programs.native import call_compiled, prepare
from ...programs.parts import PARTS, call_in_parts, choose_part
from .values import constrain_all, constrain_rows, prepare_values


def prepare_each(family: Family) -> None:
    """Start to compile the programs of `constrain_each` and `compute_observed`."""
    prepare_values(family.member(0), is_single=family.count == 1)
    if family.count > 1:
        size = family.shared.size
        blank = np.zeros((PARTS, choose_part(size), size), jnp.result_type(float))
        own = family.rows(np.zeros(PARTS, int))
        prepare(_constrain_parts, (), (family.shared, own, blank), "kernels")


def constrain_each(family: Family, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Map positions of all members, shape (members, *batch, size), to values likewise."""
    if family.count == 1:
        values = constrain_all(family.member(0), positions[0])
        return {name: a[None] for name, a in values.items()}
    batch, size = positions.shape[:-1], positions.shape[-1]

    def call(members: np.ndarray, own: np.ndarray) -> Any:
        return call_compiled(_constrain_parts, family.shared, family.rows(members), own)

    found = call_in_parts(call, positions.reshape(batch[0], -1, size), choose_part(size))
    names = [site.name for site in family.shared.sites if site.role in ("latent", "derived")]
    return {name: found[name].reshape(batch + found[name].shape[2:]) for name in names}


def _constrain_parts(shared: LogDensity, own: LogDensity, parts: Array) -> dict[str, Array]:
    one = lambda part: constrain_rows(eqx.combine(shared, part[0]), part[1])  # noqa: E731
    return jax.lax.map(one, (own, parts))
