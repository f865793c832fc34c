"""Results as trees of the user's type, for a mode or for all draws at once."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import jax
import numpy as np

from ..calls import check_arguments
from ..errors import ModelError
from ..models.model import Model
from ..models.survey import refuse_unless_model
from ..programs.by_text import compile_by_text
from ..programs.slices import call_in_slices, choose_rows
from .optimum import Optimum


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
    A slice has at most 2^18 input or output values, and at most 1024 draws.

    Args:
        function: From a tree to any pytree of arrays.
        model: What `tree_model` returned, perhaps with leaves frozen or freed.
        posterior: ArviZ data with a posterior.

    Returns:
        What the function returns, with leading axes of chains and draws, on the host.

    Raises:
        ModelError: The values do not share axes of chains and draws, or one is missing.
    """
    refuse_unless_model(model)
    values = {name: _as_jax_type(array) for name, array in read_values(posterior).items()}
    lead = read_chains_and_draws(values)
    flat = {name: a.reshape(-1, *a.shape[2:]) for name, a in values.items()}

    def one(model: Model, values: Mapping[str, Any]) -> Any:
        return function(model.tree(values))

    count = prod(lead)
    rows = min(choose_rows(_count_numbers(one, model, flat)), count)
    blank = {name: jax.ShapeDtypeStruct((rows, *a.shape[1:]), a.dtype) for name, a in flat.items()}
    call = compile_by_text(jax.vmap(one, (None, 0)), model, blank)
    results = call_in_slices(lambda own: call(model, own), flat, rows)
    return jax.tree.map(lambda a: a.reshape(lead + a.shape[1:]), results)


def _as_jax_type(array: Any) -> np.ndarray:
    """Convert an array to a type that JAX supports in its current precision."""
    array = np.asarray(array)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def _count_numbers(one: Callable[..., Any], model: Model, flat: Mapping[str, np.ndarray]) -> int:
    """Count the input values of one draw, or its output values if those are more."""
    first = {name: jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for name, a in flat.items()}
    made = jax.eval_shape(one, model, first)
    return max(sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (first, made))


def read_values(result: Any) -> Mapping[str, Any]:
    """Read values by name from an `Optimum`, from ArviZ data, or as they are."""
    if isinstance(result, Optimum):
        return result.values
    if isinstance(result, Mapping) and "posterior" not in result:
        return result
    try:
        posterior = result["posterior"]
    except (KeyError, TypeError) as error:
        raise ModelError(
            "result",
            f"a {type(result).__name__} has no posterior",
            "Give an Optimum, ArviZ data with a posterior, or values by name.",
        ) from error
    return _join_complex({name: np.asarray(array) for name, array in posterior.data_vars.items()})


def read_chains_and_draws(given: Mapping[str, Any]) -> tuple[int, int]:
    """Return the numbers of chains and draws, which all values must share."""
    shapes = {np.shape(array)[:2] for array in given.values()}
    if len(shapes) != 1 or len(lead := shapes.pop()) != 2:
        raise ModelError(
            "posterior",
            "its values do not have the same leading axes of chains and draws",
            "Give ArviZ data with a posterior, as infer.sample or Approximation.sample return.",
        )
    return lead


def _join_complex(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Join complex values, which ArviZ data hold in two parts."""
    real = {n.removesuffix(".real"): a for n, a in arrays.items() if n.endswith(".real")}
    whole = {n: a + 1j * arrays[f"{n}.imag"] for n, a in real.items() if f"{n}.imag" in arrays}
    parts = {f"{n}{end}" for n in whole for end in (".real", ".imag")}
    return {n: a for n, a in arrays.items() if n not in parts} | whole
