"""Recognize, refuse or unstack models that are stacked along a leading axis, as by `vmap`."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bijectors.base import Shape

from ...errors import ModelError
from ...traced import refuse_traced
from .labels import refuse_other_labels
from .precision import on_device

MEND = (
    "infer.sample, infer.maximize, infer.fit, infer.predict and infer.sample_prior accept it; any "
    "other function takes one model, so call it for each model of the list [make(y) for y in data]."
)


def shapes_of(tree: Any) -> tuple[Shape, ...]:
    """List the shapes of all leaves of a pytree."""
    return tuple(np.shape(leaf) for leaf in jax.tree.leaves(tree))


def count_stacked(model: Any, where: str = "model") -> int | None:
    """Return the number of models in a stacked one; `None` for a single model.

    Args:
        model: A model; its `shapes` are those of its leaves when it was made.
        where: What to call it in the error.

    Raises:
        ModelError: Its arrays have other shapes than when it was made, and not by one leading
            axis of the same length.
    """
    made, now = model.shapes, shapes_of(model)
    if made == now:
        return None
    counts = {shape[:1] for shape in now}
    if len(counts) == 1 and now == tuple(next(iter(counts)) + shape for shape in made):
        return now[0][0]
    found = next((pair for pair in zip(made, now, strict=False) if pair[0] != pair[1]), None)
    change = f": {found[1]} instead of {found[0]}" if found else ""
    raise ModelError(
        where,
        f"its arrays have other shapes than when the model was made{change}",
        "Make another model for arrays of another shape, or change its data by with_data.",
    )


def refuse_stacked(model: Any, where: str = "model") -> None:
    """Raise if several models are stacked along a leading axis of its arrays."""
    count = count_stacked(model, where)
    if count is not None:
        raise ModelError(
            where,
            f"every array in it has a leading axis of {count} that was not there when the model "
            f"was made, so these are {count} models stacked into one, as by vmap or jnp.stack",
            MEND,
        )


def models_in(models: Any) -> list[Any]:
    """List the models given to a call that takes one, several, or several stacked into one.

    Raises:
        ModelError: Their arrays are traced; or those of one have other shapes than when it was
            made, and it is not stacked; or coordinates of a dimension differ.
    """
    if isinstance(models, Iterable):
        models = list(models)
        for index, own in enumerate(models):
            refuse_traced(ModelError, f"models[{index}]", own)
            refuse_other_labels(f"models[{index}]", models[0], own)
        return models
    refuse_traced(ModelError, "model", models)
    count = count_stacked(models) if hasattr(models, "shapes") else None
    return [models] if count is None else [_member(models, i) for i in range(count)]


def are_several(models: Any) -> bool:
    """Return whether several models are given: a list of them, or a stacked one."""
    if isinstance(models, Iterable):
        return True
    return hasattr(models, "shapes") and count_stacked(models) is not None


def _member(model: Any, index: int) -> Any:
    # Slicing JAX arrays would compile; random keys can be sliced in no other way.
    keys = lambda a: jnp.issubdtype(a.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda a: a[index] if keys(a) else on_device(np.asarray(a)[index]), model)
