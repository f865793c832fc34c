"""Sum discrete sites out of a product of factors, the last declared first.

Each entry of a site is summed over on its own. So it may be joined with one entry of each site that
was declared before it, and not with two, which would take a sum over all pairs of their values.

Source: Koller & Friedman (2009), Probabilistic Graphical Models, algorithm 9.1, for which the
order of elimination is the reverse of that of declaration.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...errors import ModelError
from .log_sum import log_sum_exp
from .owners import NONE, SEVERAL
from .support import Finite


class Factor(NamedTuple):
    """Terms of the log density, for all values of the discrete sites that they depend on.

    Attributes:
        names: Names of the terms.
        table: Log densities in nats, with an axis for the values of each site, in order of
            declaration, and a last axis of rows.
        owners: The entry that each row depends on, shape (rows,), by site.
    """

    names: tuple[str, ...]
    table: Array
    owners: Mapping[str, np.ndarray]


class Eliminated(NamedTuple):
    """What is needed to draw a site that was summed out, given the sites declared before it.

    Attributes:
        site: Name of the site.
        table: Log probabilities, not normalized, of its values given those of earlier sites; with
            an axis for the values of each, its own last, and an axis of entries.
        parents: The entry of each earlier site that each entry is joined with.
    """

    site: str
    table: Array
    parents: Mapping[str, np.ndarray]


class Summed(NamedTuple):
    """Rows of the log density whose discrete sites are all summed out.

    Attributes:
        names: Names of the terms they come from.
        site: The site that was summed out last.
        rows: Log densities in nats, one for each of its entries.
    """

    names: tuple[str, ...]
    site: str
    rows: Array


def make_factors(
    name: str, table: Array, owners: Mapping[str, np.ndarray], sites: Mapping[str, Finite]
) -> list[Factor]:
    """Make factors of one term, of which different rows may depend on different sites.

    Args:
        name: Name of the term.
        table: Its rows, shape (*values, *rows), with an axis for the values of each site.
        owners: The entry that each row depends on, shape (*rows,), by site.
        sites: All discrete sites.

    Raises:
        ModelError: A row depends on several entries of one site.
    """
    flat = {site: own.reshape(-1) for site, own in owners.items()}
    for site, own in flat.items():
        if (own == SEVERAL).any():
            raise _too_many(site, f"a row of {name!r} depends on several of its entries", sites)
    table = table.reshape(*table.shape[: len(flat)], -1)
    depends = np.stack([own != NONE for own in flat.values()])
    return [
        _select(name, table, flat, np.flatnonzero((depends == pattern[:, None]).all(0)), pattern)
        for pattern in np.unique(depends, axis=1).T
    ]


def _select(
    name: str, table: Array, owners: Mapping[str, np.ndarray], rows: np.ndarray, used: np.ndarray
) -> Factor:
    """Select the rows of a term that depend on the same sites."""
    if len(rows) < table.shape[-1]:
        table = table[..., rows]
    # Where rows do not depend on a site, they are the same for all its values.
    table = table[tuple(slice(None) if is_used else 0 for is_used in used)]
    kept = {s: own[rows] for (s, own), is_used in zip(owners.items(), used, strict=True) if is_used}
    return Factor((name,), table, kept)


def eliminate(
    factors: Sequence[Factor], sites: Mapping[str, Finite]
) -> tuple[list[Summed], list[Eliminated]]:
    """Sum out all discrete sites.

    Args:
        factors: The factors of the joint log density that depend on them.
        sites: The sites, in order of declaration.

    Returns:
        Rows of the log density, and what is needed to draw the sites, the last one first.

    Raises:
        ModelError: An entry of a site is joined with several entries of an earlier one.
    """
    summed: list[Summed] = []
    steps: list[Eliminated] = []
    remaining = list(factors)
    for site in reversed(list(sites)):
        own = [factor for factor in remaining if site in factor.owners]
        remaining = [factor for factor in remaining if site not in factor.owners]
        table, parents = _multiply(site, own, sites)
        steps.append(Eliminated(site, table, parents))
        names = tuple(dict.fromkeys(name for factor in own for name in factor.names))
        rows = log_sum_exp(table, axis=-2)
        if parents:
            remaining += _split_off(Factor(names, rows, parents))
        else:
            summed.append(Summed(names, site, rows))
    return summed, steps


def _split_off(factor: Factor) -> list[Factor]:
    """Separate entries that are joined with different sets of earlier sites."""
    depends = np.stack([own != NONE for own in factor.owners.values()])
    return [
        _select("", factor.table, factor.owners, np.flatnonzero(here), pattern)._replace(
            names=factor.names
        )
        for pattern in np.unique(depends, axis=1).T
        if (here := (depends == pattern[:, None]).all(0)).any()
    ]


def _multiply(
    site: str, factors: Sequence[Factor], sites: Mapping[str, Finite]
) -> tuple[Array, dict[str, np.ndarray]]:
    """Multiply the factors of a site, entry by entry, and find the entries they join it with."""
    size = sites[site].low.size
    names = [n for n in sites if n != site and any(n in factor.owners for factor in factors)]
    parents = {name: _find_parents(site, name, factors, sites) for name in names}
    table = jnp.zeros((sites[site].count, size))
    for factor in factors:
        rows = _add_rows(factor.table, factor.owners[site], size)
        at = [i for i, n in enumerate([*names, site]) if n not in factor.owners]
        table = table + jnp.expand_dims(rows, at)
    return table, parents


def _add_rows(table: Array, owners: np.ndarray, size: int) -> Array:
    """Add the rows of each entry."""
    if np.array_equal(owners, np.arange(size)):
        return table
    each = len(owners) // max(size, 1)
    lead = table.shape[:-1]
    if np.array_equal(owners, np.repeat(np.arange(size), each)):
        return table.reshape(*lead, size, each).sum(-1)
    if np.array_equal(owners, np.tile(np.arange(size), each)):
        return table.reshape(*lead, each, size).sum(-2)
    return jnp.zeros((*lead, size), table.dtype).at[..., owners].add(table)


def _find_parents(
    site: str, parent: str, factors: Sequence[Factor], sites: Mapping[str, Finite]
) -> np.ndarray:
    """Find the entry of an earlier site that each entry of a site is joined with."""
    found = np.full(sites[site].low.size, NONE)
    for factor in factors:
        if parent not in factor.owners:
            continue
        entries, own = factor.owners[site], factor.owners[parent]
        first = np.full_like(found, NONE)
        first[entries] = own
        if (first[entries] != own).any() or ((found != first) & (found >= 0) & (first >= 0)).any():
            what = f"an entry of it is joined with several entries of {parent!r}"
            raise _too_many(site, what, sites)
        found = np.where(found == NONE, first, found)
    return found


def _too_many(site: str, found: str, sites: Mapping[str, Finite]) -> ModelError:
    finite = sites[site]
    cost = f"{finite.count}^{finite.low.size}" if finite.low.size > 1 else str(finite.count)
    return ModelError(
        site,
        f"it cannot be summed out entry by entry: {found}, so the sum has {cost} terms",
        "Let each row of a term depend on one entry. A chain of states is declared step by step in "
        "site.scan; an index into the entries must be part of the program: infer.static(index).",
    )


def draw(steps: Sequence[Eliminated], sites: Mapping[str, Finite], key: Array) -> dict[str, Array]:
    """Draw the sites from their exact conditional distribution, the first one first.

    Args:
        steps: What `eliminate` returned.
        sites: The sites.
        key: A JAX key.

    Returns:
        A value for each site, by name.
    """
    found: dict[str, Array] = {}
    for i, step in enumerate(reversed(steps)):
        logits, entries = step.table, np.arange(step.table.shape[-1])
        # The axes are those of the earlier sites, then the site's own values, then its entries.
        index = [found[name][np.maximum(own, 0)] for name, own in step.parents.items()]
        if index:
            logits = jnp.moveaxis(logits, -2, 0)[(slice(None), *index, entries)]
        chosen = jax.random.categorical(jax.random.fold_in(key, i), logits, axis=0)
        found[step.site] = chosen
    return {name: sites[name].pick(chosen) for name, chosen in found.items()}
