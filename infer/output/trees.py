"""Results in the user's own type: a tree that holds a mode, or all draws at once."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ModelError
from ..models.base import Model, refuse_unless_model
from .optimum import Optimum


def tree_of(model: Model, result: Any) -> Any:
    """Put a result into a tree of the type that the model was made of.

    Args:
        model: What `tree_model` returned, perhaps with leaves frozen or freed.
        result: An `Optimum`, ArviZ data with a posterior, or values by name.

    Returns:
        The tree. Of ArviZ data, inferred and derived leaves have axes of chains and draws in
        front, and all others are as they are in the model; `map_trees` calls a function on
        the tree of each draw.

    Raises:
        ModelError: The model was not made of a tree, or a value is missing.
    """
    refuse_unless_model(model)
    return model.tree(values_of(result))


def map_trees(function: Callable[[Any], Any], model: Model, posterior: Any) -> Any:
    """Call a function on the tree of each draw, all at once by `vmap`.

    Args:
        function: From a tree to any pytree of arrays.
        model: What `tree_model` returned, perhaps with leaves frozen or freed.
        posterior: ArviZ data with a posterior.

    Returns:
        What the function returns, with axes of chains and draws in front.
    """
    refuse_unless_model(model)
    values = {name: jnp.asarray(array) for name, array in values_of(posterior).items()}
    one = lambda values: function(model.tree(values))  # noqa: E731
    return jax.jit(jax.vmap(jax.vmap(one)))(values)


def values_of(result: Any) -> Mapping[str, Any]:
    """Read values by name: of an `Optimum`, of ArviZ data with a posterior, or as they are."""
    if isinstance(result, Optimum):
        return result.values
    if isinstance(result, Mapping) and "posterior" not in result:
        return result
    try:
        posterior = result["posterior"]
    except (KeyError, TypeError) as error:
        raise ModelError(
            "result",
            f"a {type(result).__name__} holds no posterior",
            "Give an Optimum, ArviZ data with a posterior, or values by name.",
        ) from error
    return _joined({name: np.asarray(array) for name, array in posterior.data_vars.items()})


def _joined(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Join complex numbers, which ArviZ data hold in two parts."""
    real = {n.removesuffix(".real"): a for n, a in arrays.items() if n.endswith(".real")}
    whole = {n: a + 1j * arrays[f"{n}.imag"] for n, a in real.items() if f"{n}.imag" in arrays}
    parts = {f"{n}{end}" for n in whole for end in (".real", ".imag")}
    return {n: a for n, a in arrays.items() if n not in parts} | whole
