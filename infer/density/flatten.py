"""Flatten values that a user gives, in one compiled program."""

from typing import Any

import jax
from jax.core import Tracer
from jaxtyping import Array, Bool

from ..models.model import Model
from ..models.readers import Values
from ..programs.interpreted import call_once


def flatten_in_one_program(model: Model, values: dict[str, Array]) -> Array | None:
    """Map constrained values to the flat vector if each lies in its set.

    Outside a program the model would compute operation by operation, and compile every one.

    Returns:
        The flat vector; None if something is traced, or a value lies outside its set.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((model, values))):
        return None
    flat, inside = call_once(_flatten, model, values)
    return jax.device_put(flat) if all(map(bool, inside)) else None


def _flatten(model: Model, values: dict[str, Array]) -> tuple[Array, list[Bool[Array, ""]]]:
    """Map values to the flat vector; also return whether each lies in its set."""
    reader = Values(values, model.rules)
    declarations: list[Any] = model.run(reader).declarations
    inside = [d.constraint.contains(values[d.name]).all() for d in declarations]
    return reader.flattener.flat(), inside
