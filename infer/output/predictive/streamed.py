"""Average the densities of rows over draws, a range of rows and a few draws at a time."""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ...density.readers import ConstrainedReader
from ...models.abstract import run_abstractly
from ...models.model import Model
from ...models.protocol.minibatch import Minibatch
from ...programs.memory import count_peak_bytes
from ...programs.native import call_compiled
from ...programs.slices import choose_rows_for
from ...types import ProgramSignature, signature_of
from .draw_source import DrawSource, Values
from .rowwise import Outline, choose_size, evaluate_rows, list_begins, select_rows

PART = "log_likelihood"


class RowRange(NamedTuple):
    """How some rows of one observation are evaluated; static in a program.

    Attributes:
        name: The observation.
        shape: Shape of all of its rows.
        size: Number of rows at a time, along the first axis.
        plate: The plate of a minibatch, of which a model can see the rows alone; otherwise the
            rows are cut from the program.
        labels: Index of the leaf of the data that has the class of each row.
        classes: Number of classes of which each row may be; 0 for the row as it is observed.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    plate: Minibatch | None = None
    labels: int = 0
    classes: int = 0


class SeenRows(ConstrainedReader):
    """Reads constrained values, and lets the model see some rows of one plate."""

    def __init__(self, values: Any, model: Model, plate: Minibatch, rows: Array) -> None:
        super().__init__(values, model.rules, jacobian=False)
        self._plate, self._rows = plate.plate, rows

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self._rows if minibatch.plate == self._plate else None


def plan_rows(model: Model, outline: Outline, name: str) -> RowRange:
    """Plan to evaluate all rows of an observation at once."""
    shape, plates = outline.rows[name].shape, run_abstractly(model).minibatches
    fits = len(plates) == 1 and shape == (plates[0].size,)
    return RowRange(name, shape, max(next(iter(shape), 1), 1), plates[0] if fits else None)


def split_rows(
    rows: RowRange, model: Model, draws: DrawSource, batch_size: int | None
) -> tuple[RowRange, int]:
    """Choose how many rows and draws at a time need no more memory than is allowed.

    Args:
        rows: The rows.
        model: The model.
        draws: The draws.
        batch_size: Number of rows, if the user gives it.

    Returns:
        The rows with their number at a time, and the number of draws.
    """
    first = _first(draws.take(np.zeros(1, int)))

    signature = signature_of((model, first))
    count_bytes = lambda size: _count_bytes(rows._replace(size=size), signature)  # noqa: E731
    size = min(batch_size, rows.size) if batch_size else choose_size(count_bytes, rows.size)
    taken = count_bytes(size) + sum(a.nbytes for a in first.values())
    return rows._replace(size=size), min(choose_rows_for(taken), draws.number)


@lru_cache(maxsize=64)
def _count_bytes(rows: RowRange, signature: ProgramSignature) -> int:
    """Count the bytes that rows need at one draw, for models and values with this signature."""
    model, first = signature.outline()
    program = jax.make_jaxpr(partial(evaluate, rows))(model, first, np.int32(0))
    return count_peak_bytes(program)


def _first(values: Values) -> Values:
    return {name: a[0] for name, a in values.items()}


def average(
    rows: RowRange, model: Model, draws: DrawSource, batch_size: int | None
) -> Float[np.ndarray, "..."]:
    """Compute the log of the mean over draws of the density of each row, in nats.

    Returns:
        Shape (*rows), or (classes, *rows) for the probabilities of classes; double precision.
    """
    rows, width = split_rows(rows, model, draws, batch_size)
    axes = (rows.classes,) if rows.classes else ()
    total = np.full((*axes, *rows.shape), -np.inf)
    for begin in range(0, draws.number, width):
        numbers = np.arange(begin, begin + width)
        values = jax.device_put(draws.take(np.minimum(numbers, draws.number - 1)))
        part = np.empty_like(total)
        for first in list_begins(rows.shape, rows.size):
            own = slice(first, first + rows.size)
            part[(slice(None),) * len(axes) + (own,)] = call_compiled(
                add_draws, model, values, numbers < draws.number, np.int32(first), static=(rows,)
            )
        total = np.logaddexp(total, part)
    return total - np.log(draws.number)


def try_one(
    rows: RowRange, model: Model, draws: DrawSource, batch_size: int | None
) -> Float[np.ndarray, "..."]:
    """Compute the density of the first rows at the first draw, by the program of `average`."""
    rows, width = split_rows(rows, model, draws, batch_size)
    numbers = np.arange(width)
    values = draws.take(np.minimum(numbers, draws.number - 1))
    found = call_compiled(add_draws, model, values, numbers < 1, np.int32(0), static=(rows,))
    return np.asarray(found, float)


def add_draws(
    rows: RowRange, model: Model, values: Any, counted: Bool[Array, "draws"], begin: Array
) -> Array:
    """Compute the log of the sum over draws of densities of rows; not all draws are counted."""
    each = jax.vmap(lambda own: evaluate(rows, model, own, begin))(values)
    kept = jnp.expand_dims(counted, range(1, each.ndim))
    return jax.nn.logsumexp(jnp.where(kept, each, -jnp.inf), axis=0)


def evaluate(rows: RowRange, model: Model, values: Any, begin: Array) -> Array:
    """Compute log densities of rows at one draw: as observed, or as if of each class."""
    if not rows.classes:
        return _evaluate_seen(rows, model, values, begin)
    labels = jnp.asarray(model.program.data.parts.leaves[rows.labels])

    def as_class(number: Array) -> Array:
        own = jnp.full_like(labels, number.astype(labels.dtype))
        other = eqx.tree_at(lambda m: m.program.data.parts.leaves[rows.labels], model, own)
        return _evaluate_seen(rows, other, values, begin)

    return jax.vmap(as_class)(jnp.arange(rows.classes))


def _evaluate_seen(rows: RowRange, model: Model, values: Any, begin: Array) -> Array:
    if rows.plate is None:
        return evaluate_rows(PART, rows.name, rows.size, model, values, begin)
    seen = begin + jnp.arange(rows.size)
    account = model.run(SeenRows(values, model, rows.plate, seen))
    found = select_rows(account, PART)[rows.name]
    partial_terms = {term.name for term in account.terms if term.is_partial}
    is_scaled = account.rows is None and rows.name in partial_terms
    return found * (rows.size / rows.plate.size) if is_scaled else found
