"""What readers of a store see: constrained values and statistics, converted block by block."""

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

import numpy as np
import xarray

from ...density.family import Family
from ...engines.base import Draws
from ...errors import RunError
from ...models.inputs.names import join_names
from ...programs.parts import choose_part
from ...programs.slices import choose_rows
from ...run.coordinates import move_to_density
from ...run.run import Run
from ...store.recorder import Contents
from ..data.arviz import add_learned, group_data, group_draws
from ..data.drawn import Drawn, name_stats, split_by_dataset
from ..data.members import constrain_each
from ..predictive.requested import PARTS
from .included import compute_included, outline_included

# Larger than any chunk.
WHOLE = 2**31


class Selection(NamedTuple):
    """Which sites and draws are stored.

    Attributes:
        keep: Names of the sites to store; `None` for all.
        drop: Names of sites not to store.
        thin: Every `thin`-th draw of a chain is stored.
        include: Names of more groups, which `infer.sample` lists.
    """

    keep: tuple[str, ...] | None = None
    drop: tuple[str, ...] = ()
    thin: int = 1
    include: tuple[str, ...] = ()


def select_names(names: Sequence[str], selection: Selection) -> list[str]:
    """Return the names of the sites that are stored.

    Raises:
        RunError: A name is unknown, or none is left.
    """
    for where, given in (("keep", selection.keep or ()), ("drop", selection.drop)):
        if unknown := [name for name in given if name not in names]:
            raise RunError(
                where,
                f"there is no site {join_names(unknown)}",
                f"The latent and derived sites are {join_names(names)}.",
            )
    kept = [n for n in names if selection.keep is None or n in selection.keep]
    kept = [name for name in kept if name not in selection.drop]
    if not kept:
        raise RunError("keep", "no site is left to store", f"Name one of {join_names(names)}.")
    return kept


def make_contents(run: Run, selection: Selection) -> Contents:
    """Return how the draws of a run become what readers see."""
    family, engine = run.family, run.engine
    names = [site.name for site in run.density.sites if site.role in ("latent", "derived")]
    kept, rows = select_names(names, selection), _choose_rows(family)

    asked, chains = selection.include, run.chains // family.count

    def group(draws: Draws, values: dict[str, np.ndarray]) -> dict[str, xarray.Dataset]:
        stats = name_stats(engine, draws.stats)
        if family.count > 1:
            stats = {name: split_by_dataset(a, family.count) for name, a in stats.items()}
        return group_draws(family, Drawn({name: values[name] for name in kept}, stats))

    def convert(draws: Draws, chunk: int) -> dict[str, xarray.Dataset]:
        draws = move_to_density(family, run.warmup.centering, draws)
        values = constrain_by_draw(family, draws.positions)
        more = compute_included(family, asked, values, draws.positions, chunk)
        return group(draws, values) | more

    def lay_out(draws: Draws, has_learned: bool) -> dict[str, xarray.Dataset]:
        groups = group(draws, constrain_by_draw(family, draws.positions)) | group_data(family)
        groups |= outline_included(family, asked, chains, draws.positions)
        return add_learned(groups, run) if has_learned else groups

    # What is computed for a whole chunk begins with its first draw.
    step = WHOLE if set(asked).intersection(PARTS) else rows // gcd(rows, chains)
    return Contents(lay_out, convert, step, selection.thin)


def _choose_rows(family: Family) -> int:
    size = family.shared.size
    return choose_rows(size) if family.count == 1 else choose_part(size)


def constrain_by_draw(family: Family, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Constrain positions with the draws in the order of time, not chain by chain.

    Programs take slices of fixed size, and the last bit of a value may depend on its place in a
    slice. In this order that place does not depend on how many draws follow.

    Args:
        family: The log densities.
        positions: Shape (chains of all data sets, draws, size).

    Returns:
        Arrays of shape (chains, draws, *site), or (chains, draws, data sets, *site).
    """
    by_set = positions.reshape(family.count, -1, *positions.shape[1:])
    values = constrain_each(family, by_set.swapaxes(1, 2))
    # From (data sets, draws, chains, ...).
    moved = {name: np.moveaxis(a, (2, 1), (0, 1)) for name, a in values.items()}
    return {n: a[:, :, 0] for n, a in moved.items()} if family.count == 1 else moved
