"""Find data and coordinates that a model never uses, and observations without entries."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal

from ..equations import CALLS
from ..errors import warn_of_model
from ..models.abstract import run_abstractly
from ..models.inputs.data import name_arguments
from ..models.inputs.labels import Labels
from ..models.inputs.names import join_names
from ..models.model import Model
from ..types import ProgramSignature, signature_of

# Prefix of calls whose derivative may use inputs that their value does not.
_OWN_DERIVATIVE = "custom_"


def warn_of_unused(model: Model) -> None:
    """Warn of data and coordinates that a model does not use, and of empty observations, by name.

    Warns:
        ModelWarning: One for all unused data, one for each unused coordinate, and one for all
            observed sites without entries.
    """
    if empty := [
        s.name for s in run_abstractly(model).sites if s.role == "observed" and 0 in s.shape
    ]:
        warn_of_model(
            join_names(empty),
            "it is observed, but has no entries, so nothing is learned from it",
            "Check which rows the data were selected by; or leave the observation out.",
        )
    data, coords, dims = _find_unused(signature_of(model))
    if data:
        warn_of_model(
            join_names(data),
            "the model is given these data, but neither its log density nor its derived values "
            "depend on them",
            "Use them, for example in site.observe, or leave them out.",
        )
    for name in coords:
        close = get_close_matches(name, dims, 1)
        warn_of_model(
            f"coords[{name!r}]",
            f"no site has this dimension; the dimensions are {join_names(dims) or 'none'}",
            f"Did you mean {close[0]!r}?" if close else "Name it in dims=, or leave it out.",
        )


def unused_data(model: Model) -> list[str]:
    """List the data that nothing depends on, by the names of the arguments."""
    return _find_unused(signature_of(model))[0]


def unused_coords(model: Model) -> list[str]:
    """List the dimensions with coordinates that no site has."""
    return _find_unused(signature_of(model))[1]


@lru_cache(maxsize=64)
def _find_unused(model: ProgramSignature) -> tuple[list[str], list[str], list[str]]:
    """Find unused data and coordinates, and the dimensions of all sites.

    A traced program shows what it depends on. The model without its changes may use what a view
    leaves out, and some data are used only through their size, so suspects are traced again with
    other sizes.
    """
    whole = model.outline()
    dims = {dim for site in run_abstractly(whole).sites for dim in site.dims if dim is not None}
    coords = [name for name in whole.labels.given if name not in dims]
    bare = replace(whole, changes=())
    data = _idle(whole) and _idle(bare)
    data = [name for name in data if _is_same_with_other_sizes(bare, name)]
    return data, [n for n in coords if _is_same_without_coords(bare, n)], sorted(dims)


def _idle(model: Model) -> list[str]:
    """List the arguments none of whose numbers reach a result of the model's program."""
    jaxpr = run_abstractly(model).program.jaxpr
    used = find_used_inputs(jaxpr, [True] * len(jaxpr.outvars))
    pairs = [
        (name, use)
        for name, use, variable in zip(name_arguments(model), used, jaxpr.invars, strict=True)
        if name is not None and variable.aval.size > 0
    ]
    busy = {name for name, use in pairs if use}
    return list(dict.fromkeys(name for name, _ in pairs if name not in busy))


def find_used_inputs(jaxpr: Any, wanted: Sequence[bool]) -> list[bool]:
    """Return which inputs of a jaxpr its wanted results depend on.

    Loops, branches and functions with a custom derivative count as using all their inputs.
    """
    needed = {a for a, w in zip(jaxpr.outvars, wanted, strict=True) if w and _is_variable(a)}
    for equation in reversed(jaxpr.eqns):
        here = [result in needed for result in equation.outvars]
        if any(here) or equation.effects:
            needed |= set(filter(_is_variable, _find_used(equation, here)))
    return [variable in needed for variable in jaxpr.invars]


def _find_used(equation: Any, wanted: Sequence[bool]) -> Iterable[Any]:
    name = equation.primitive.name
    if name not in CALLS or name.startswith(_OWN_DERIVATIVE):
        return equation.invars
    inner = equation.params[CALLS[name]]
    used = find_used_inputs(getattr(inner, "jaxpr", inner), wanted)
    return [atom for atom, use in zip(equation.invars, used, strict=True) if use]


def _is_variable(atom: Any) -> bool:
    return not isinstance(atom, Literal)


def _is_same_with_other_sizes(model: Model, argument: str) -> bool:
    """Return whether the program stays the same if the arrays of an argument change size."""
    leaves, structure = jax.tree.flatten(model)
    named = zip(leaves, name_arguments(model), strict=True)
    other = [_lengthen(leaf) if name == argument else leaf for leaf, name in named]
    # `replace` makes the model again, since a model remembers the shapes it was made with.
    return _has_same_program(model, replace(jax.tree.unflatten(structure, other)))


def _lengthen(leaf: Any) -> Any:
    shape = tuple(size + 1 for size in leaf.shape)
    return jax.ShapeDtypeStruct(shape, leaf.dtype, weak_type=getattr(leaf, "weak_type", False))


def _is_same_without_coords(model: Model, dim: str) -> bool:
    given = {name: values for name, values in model.labels.given.items() if name != dim}
    labels = Labels(given, model.labels.of_columns)
    return _has_same_program(model, replace(model, labels=labels))


def _has_same_program(model: Model, other: Model) -> bool:
    """Return whether the other model can run and has the same program."""
    try:
        return _summarize_program(run_abstractly(other).program) == _summarize_program(
            run_abstractly(model).program
        )
    except Exception:  # noqa: BLE001 - any error of the user's function means a difference
        return False


def _summarize_program(program: ClosedJaxpr) -> tuple[str, list[bytes]]:
    equations = "\n".join(map(str, program.jaxpr.eqns))
    return equations, [np.asarray(c).tobytes() for c in program.consts if hasattr(c, "dtype")]
