"""Results as trees of the user's type, for a mode or for all draws at once."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import jax

from ...calls import check_arguments
from ...errors import ModelError
from ...models.model import Model
from ...models.survey import refuse_unless_model
from ...programs.by_text import compile_by_text
from ...programs.memory import count_peak_bytes
from ...programs.slices import call_in_slices, choose_rows_for
from ..fitted.optimum import Optimum
from .simulate import as_jax_type
from .site_draws import flatten_draws
from .source import read_source, read_values


@check_arguments("infer.tree_of")
def tree_of(model: Model, result: Any) -> Any:
    """Put a result into a tree of the type that the model was made from.

    Args:
        model: What `tree_model` returned, perhaps with leaves frozen or freed.
        result: An `Optimum`, ArviZ data with a posterior, or values by name.

    Returns:
        The tree. For ArviZ data, inferred and derived leaves have leading axes of chains and
        draws, and all others are as in the model; `map_trees` calls a function on the tree of
        each draw.

    Raises:
        ModelError: The model was not made from a tree, or a value is missing.
    """
    refuse_unless_model(model)
    return model.tree(read_values(result))


@check_arguments("infer.map_trees")
def map_trees(function: Callable[[Any], Any], model: Model, posterior: Any) -> Any:
    """Call a function on the tree of each draw, by `vmap` over slices of the draws.

    The function is traced at every call, and compiled unless the same program was compiled before.
    A slice has at most 1024 draws, and as few as keep what the function computes within 16 MiB.

    Args:
        function: From a tree to any pytree of arrays.
        model: What `tree_model` returned, perhaps with leaves frozen or freed.
        posterior: ArviZ data with a posterior, or an `Approximation`, of which it takes 1000 draws.

    Returns:
        What the function returns, with leading axes of chains and draws, on the host.

    Raises:
        ModelError: The values do not share axes of chains and draws, or one is missing, or it is
            an `Optimum`.
    """
    refuse_unless_model(model)
    if isinstance(posterior, Optimum):
        mend = "infer.tree_of(model, optimum) is its tree; call the function on it."
        raise ModelError("posterior", "an Optimum is one tree, not draws of it", mend)
    source = read_source(posterior, None, 0)
    flat = {name: flatten_draws(a) for name, a in source.values.items()}

    def one(model: Model, values: Mapping[str, Any]) -> Any:
        return function(model.tree(values))

    kinds = {n: jax.dtypes.canonicalize_dtype(a.dtype) for n, a in flat.items()}
    first = {n: jax.ShapeDtypeStruct(a.shape[1:], kinds[n]) for n, a in flat.items()}
    rows = min(choose_rows_for(_count_bytes(one, model, first)), prod(source.lead))
    blank = {n: jax.ShapeDtypeStruct((rows, *a.shape[1:]), kinds[n]) for n, a in flat.items()}
    call = compile_by_text(jax.vmap(one, (None, 0)), model, blank)
    convert = lambda own: {n: as_jax_type(a) for n, a in own.items()}  # noqa: E731
    results = call_in_slices(lambda own: call(model, convert(own)), flat, rows)
    return jax.tree.map(lambda a: a.reshape(source.lead + a.shape[1:]), results)


def _count_bytes(one: Callable[..., Any], model: Model, first: Mapping[str, Any]) -> int:
    """Count the bytes of what the function takes and computes for one draw."""
    program = jax.make_jaxpr(one)(model, first)
    taken = sum(kind.size * kind.dtype.itemsize for kind in first.values())
    return max(taken, count_peak_bytes(program))
