"""Log densities of rows at each draw, in slices of draws, or of rows if a draw needs too much."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from math import ceil, prod
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import xarray
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from bijectors.base import Shape

from ...density.readers import ConstrainedReader
from ...models.model import Model
from ...models.protocol.account import Account
from ...models.protocol.site import Dims, Term
from ...models.protocol.undivided import divide
from ...programs import slices
from ...programs.memory import count_peak_bytes
from ...programs.native import call_compiled
from ...programs.rows import compute_rows
from ...programs.slices import call_in_slices, choose_rows_for
from ...types import ProgramSignature, signature_of
from ..data.arviz import SET, make_dataset
from .simulate import as_jax_type
from .site_draws import flatten_draws, select_set
from .source import read_chains_and_draws

Part = Literal["log_likelihood", "log_prior"]
Values = dict[str, np.ndarray]


class Outline(NamedTuple):
    """What one abstract run says of a group.

    Attributes:
        sites: Shape of each latent site, by name.
        dims: Names of the axes of each variable.
        rows: Shape and type of each variable at one draw.
    """

    sites: Mapping[str, Shape]
    dims: Mapping[str, Dims]
    rows: Mapping[str, jax.ShapeDtypeStruct]


def select_rows(account: Account, part: Part) -> dict[str, Array]:
    """Return the rows of a group, by name."""
    if part == "log_likelihood":
        terms = [term for term in account.terms if term.role == "likelihood"]
        return dict(account.rows()) if account.rows else {t.name: t.rows for t in terms}
    if divided := divide(account):
        return {divided.name: divided.log_prior}
    return {term.name: term.rows for term in list_priors(account)}


def list_priors(account: Account) -> list[Term]:
    """Return the terms that are priors of latent sites."""
    return [t for t in account.terms if t.role == "prior" and t.name in account.images]


def compute_part(
    models: Sequence[Model], values: Mapping[str, Any], part: Part, outline: Outline,
    sets: int | None,
) -> xarray.Dataset:  # fmt: skip
    """Compute a group of one model, or of several along the dimension of data sets.

    Args:
        models: The models.
        values: Values of their sites, shape (chains, draws, *site), or (chains, draws, data sets,
            *site) for several models.
        part: The group.
        outline: What is known of it.
        sets: Number of models, if the values have an axis of data sets.
    """
    own = {name: values[name] for name in outline.sites}
    # A model without latent sites has one value for all draws.
    lead = read_chains_and_draws(own or values)
    axes = () if sets is None else (sets,)
    whole = {
        name: np.empty((prod(lead), *axes, *kind.shape), kind.dtype)
        for name, kind in outline.rows.items()
    }
    for i, model in enumerate(models):
        of_set = {name: select_set(a, i) if sets else a for name, a in own.items()}
        flat = {name: flatten_draws(a) for name, a in of_set.items()}
        _fill(model, flat, part, {name: a[:, i] if sets else a for name, a in whole.items()})
    arrays = {name: a.reshape(*lead, *a.shape[1:]) for name, a in whole.items()}
    names = ("chain", "draw", *((SET,) if sets else ()))
    return make_dataset(outline.dims, models[0].labels.coords, arrays, names)


def _fill(model: Model, flat: Mapping[str, Any], part: Part, into: Values) -> None:
    """Compute the rows of one model at all draws.

    Args:
        model: The model.
        flat: Values of its sites, with one leading axis of draws.
        part: The group.
        into: Arrays for the rows, with the same leading axis.
    """
    first = {name: as_jax_type(a[:1])[0] for name, a in flat.items()}
    program = _trace(part, signature_of((model, first)))
    needed = count_peak_bytes(program) + sum(a.nbytes for a in first.values())
    if needed > slices.MAX_BYTES:
        for name in into:
            _fill_by_rows(model, flat, part, name, into[name])
        return

    def call(own: dict[str, np.ndarray]) -> dict[str, Array]:
        return call_compiled(_evaluate, model, _convert(own), static=(part,))

    count = len(next(iter(into.values())))
    # Without latent sites, the number of draws alone matters.
    given = flat or {"": np.zeros(count)}
    call_in_slices(call, given, min(choose_rows_for(needed), count), into)


def _convert(values: Mapping[str, Any]) -> Values:
    return {name: as_jax_type(a) for name, a in values.items()}


@lru_cache(maxsize=8)
def _trace(part: Part, signature: ProgramSignature) -> ClosedJaxpr:
    """Trace what is computed at one draw of models with this signature."""
    model, first = signature.outline()
    return jax.make_jaxpr(lambda *given: _evaluate_one(part, *given))(model, first)


def _evaluate(part: Part, model: Model, values: dict[str, Array]) -> dict[str, Array]:
    return jax.vmap(lambda own: _evaluate_one(part, model, own))(values)


def _evaluate_one(part: Part, model: Model, values: Mapping[str, Array]) -> dict[str, Array]:
    reader = ConstrainedReader(values, model.rules, jacobian=False)
    return select_rows(model.run(reader), part)


def _fill_by_rows(
    model: Model, flat: Mapping[str, Any], part: Part, name: str, into: np.ndarray
) -> None:
    """Compute one variable, a range of rows of one draw at a time."""
    if not into.size:
        return
    first = {n: as_jax_type(a[:1])[0] for n, a in flat.items()}

    def count_bytes(size: int) -> int:
        traced = jax.make_jaxpr(partial(evaluate_rows, part, name, size))
        return count_peak_bytes(traced(model, first, np.int32(0)))

    size = choose_size(count_bytes, next(iter(into.shape[1:]), 1))
    for draw in range(len(into)):
        own = _convert({n: a[draw : draw + 1][0] for n, a in flat.items()})
        for begin in list_begins(into.shape[1:], size):
            rows = call_compiled(
                evaluate_rows, model, own, np.int32(begin), static=(part, name, size)
            )
            into[(draw, slice(begin, begin + size)) if rows.shape else draw] = rows


def choose_size(count_bytes: Callable[[int], int], rows: int) -> int:
    """Choose how many rows to compute at once, as many as need no more memory than is allowed.

    If fewer rows need as much, since they depend on all others, their number does not matter.

    Args:
        count_bytes: Returns the bytes that a number of rows needs.
        rows: Number of all rows.
    """
    size, before = max(rows, 1), np.inf
    while True:
        needed = count_bytes(size)
        if needed <= slices.MAX_BYTES or size == 1 or needed > 0.9 * before:
            # Ranges of one size that cover all rows, the last two overlapping as little as can be.
            return ceil(rows / ceil(rows / size)) if rows else size
        size, before = max(int(size * slices.MAX_BYTES / needed), 1), needed


def list_begins(shape: Shape, size: int) -> list[int]:
    """List where ranges of one size begin that cover all rows; the last two may overlap."""
    rows = next(iter(shape), 1)
    return [min(begin, rows - size) for begin in range(0, rows, size)]


def evaluate_rows(
    part: Part, name: str, size: int, model: Model, values: dict[str, Array], begin: Array
) -> Array:
    """Compute some rows of one variable at one draw."""
    program, kinds = jax.make_jaxpr(lambda *given: _evaluate_one(part, *given), return_shape=True)(
        model, values
    )
    output, arguments = sorted(kinds).index(name), jax.tree.leaves((model, values))
    return compute_rows(program, arguments, output, begin, size)
