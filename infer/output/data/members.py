"""Named values of the draws of many data sets: one program for parts of all of them."""

import jax.numpy as jnp
import numpy as np

from ...density.family import Family
from ...programs.parts import Members, call_each, choose_part, count_parts, prepare_call
from ...programs.slices import choose_form
from .values import constrain_all, constrain_rows, find_plain_map, prepare_values, split_stacks


def prepare_each(family: Family) -> None:
    """Start to compile the programs of `constrain_each` and `compute_observed`."""
    prepare_values(family.member(0), is_single=family.count == 1)
    if family.count > 1 and find_plain_map(family.member(0)) is None:
        size = family.shared.size
        row, each = np.zeros(size, jnp.result_type(float)), choose_part(size)
        members = Members.of(family.shared, family.own)
        given = constrain_rows, members, each, count_parts(size, each), (row,)
        prepare_call(*given, choose_form(size))


def constrain_each(family: Family, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Map positions of all members, shape (members, *batch, size), to values likewise."""
    if family.count == 1 or find_plain_map(family.member(0)):
        return constrain_all(family.member(0), positions)
    batch, size = positions.shape[:-1], positions.shape[-1]
    rows, each = positions.reshape(batch[0], -1, size), choose_part(size)
    members = Members.of(family.shared, family.own)
    given = constrain_rows, members, each, count_parts(size, each), (rows,)
    found = call_each(*given, choose_form(size))
    values = split_stacks(family.shared, found, 2)
    return {name: a.reshape(batch + a.shape[2:]) for name, a in values.items()}
