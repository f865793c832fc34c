"""Run a model once for each row of given values, in slices of draws, and draw what is not given."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from ...counts import as_whole
from ...density.gathers import check_program
from ...models.inputs.data import leaf_names
from ...models.model import Model
from ...models.origins import translate_errors_of
from ...models.predictions import Given, Predictions, PredictionSurveyor
from ...models.protocol.account import Account
from ...models.protocol.clashes import refuse_clashes
from ...models.protocol.layout import refuse_repeated
from ...models.surroundings import renew
from ...models.survey import refuse_unless_model
from ...numerics.keys import read_key_data, wrap_key
from ...programs.memory import count_peak_bytes
from ...programs.native import call_compiled
from ...programs.slices import call_in_slices, choose_rows_for
from ...types import ProgramSignature, signature_of

Arrays = dict[str, np.ndarray]
# Names of latent sites, or None for all.
Keep = tuple[str, ...] | None
NOTHING = Given({}, {}, {})


class Simulated(NamedTuple):
    """Values of one run of a model: latent, derived, predicted, and observed ones."""

    latent: dict[str, Any]
    derived: dict[str, Any]
    predicted: dict[str, Any]
    observed: dict[str, Any]


class Outline(NamedTuple):
    """What a model would draw if nothing were given.

    Attributes:
        account: The account of one abstract run.
        scans: Sites and observations inside a scan, with whether it runs in reverse, by name.
        shapes: Shape of each observation, by name.
    """

    account: Account
    scans: dict[str, bool]
    shapes: dict[str, tuple[int, ...]]


def outline(model: Model) -> Outline:
    """Find by an abstract run what a model draws, once for all with other numbers only."""
    refuse_unless_model(model)
    (model,) = renew([model])
    return _outline(signature_of(model))


@lru_cache(maxsize=8)
def _outline(signature: ProgramSignature) -> Outline:
    model, found = signature.outline(), []

    def abstract_run(model: Model) -> tuple[()]:
        reader = PredictionSurveyor(jax.random.key(0))
        account = model.run(reader)
        shapes = {name: tuple(a.shape) for name, a in reader.predicted.items()}
        found.append(Outline(account, reader.scans, shapes))
        return ()

    with translate_errors_of(model):
        jax.eval_shape(abstract_run, model)
    return found[0]


def simulate(
    model: Model,
    given: Given,
    draws: int,
    key: int | Array,
    *,
    keep: Keep = None,
    fit: Callable[[Arrays], Arrays] = lambda values: values,
) -> tuple[Simulated, Account]:
    """Run a model once for each row of values, a slice at a time.

    One program serves all slices, whose number of rows follows from the memory that one run needs.

    Args:
        model: The model.
        given: What is known; its values have a leading axis of draws.
        draws: Number of draws.
        key: A seed or a JAX key; the draws depend on it and on their index alone.
        keep: Latent sites to return; by default all of them.
        fit: Makes of a slice of the values what the model takes.
    """
    refuse_unless_model(model)
    (model,) = renew([model])
    draws = as_whole("draws", draws, 1)
    root = read_key_data(key)
    first = given._replace(values=fit({n: a[:1] for n, a in given.values.items()}))
    account, program = _run_abstractly(keep, signature_of((model, first, root)))
    _check_indices(model, program)
    observed: dict[str, Any] = {}

    def call(rows: tuple[Arrays, np.ndarray]) -> Simulated:
        own = given._replace(values={n: as_jax_type(a) for n, a in fit(rows[0]).items()})
        made = call_compiled(_run_all, model, own, root, rows[1], static=(keep,))
        # Observed data are the same for all rows.
        observed.update(made.observed)
        return made._replace(observed={})

    rows = given.values, np.arange(draws, dtype=np.uint32)
    taken = sum(a.nbytes // len(a) for a in given.values.values())
    size = min(choose_rows_for(taken + count_peak_bytes(program)), draws)
    joined = call_in_slices(call, rows, size)
    return joined._replace(observed=jax.tree.map(np.asarray, observed)), account


def _run_all(keep: Keep, model: Model, given: Given, root: Array, rows: Array) -> Simulated:
    def one(given: Given, row: Array) -> Simulated:
        return _run(keep, model, given, root, row)[0]

    varying = Simulated(0, 0, 0, None)  # pyright: ignore[reportArgumentType]
    by_row = Given(0, None, None)  # pyright: ignore[reportArgumentType]
    return jax.vmap(one, (by_row, 0), varying)(given, rows)


def _run(
    keep: Keep, model: Model, given: Given, root: Array, row: Any
) -> tuple[Simulated, Account]:
    reader = Predictions(given, jax.random.fold_in(wrap_key(root), row))
    account = model.run(reader)
    images = account.images.items()
    latent = {n: image.value for n, image in images if keep is None or n in keep}
    return Simulated(latent, account.derived, reader.predicted, reader.observed), account


@lru_cache(maxsize=8)
def _run_abstractly(keep: Keep, signature: ProgramSignature) -> tuple[Account, ClosedJaxpr]:
    """Run one draw abstractly, to find the names of axes and what is computed.

    Args:
        keep: Latent sites to return.
        signature: That of a model, what is given for one row, and key data.
    """
    model, first, root = signature.outline()
    found: list[Account] = []

    def abstract_run(model: Model, given: Given, root: Array) -> Simulated:
        draw, account = _run(keep, model, given, root, 0)
        refuse_repeated(account.dims)
        refuse_clashes(account.dims)
        found.append(account)
        return draw

    one = {name: jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for name, a in first.values.items()}
    with translate_errors_of(model):
        program = jax.make_jaxpr(abstract_run)(model, first._replace(values=one), root)
    return found[0], program


def _check_indices(model: Model, program: ClosedJaxpr) -> None:
    """Raise if an index among the data of a model is out of range."""
    leaves, names = jax.tree.leaves(model), leaf_names(model)
    others = len(program.in_avals) - len(leaves)
    check_program(program, [*leaves, *[None] * others], [*names, *[""] * others])


def as_jax_type(array: Any) -> np.ndarray:
    """Convert an array to a type that JAX supports in its current precision."""
    array = np.asarray(array)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)
