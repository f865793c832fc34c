"""Whole numbers and shapes given by the user, in any integer type."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from bijectors.errors import ExplainedError

from .errors import ModelError, RunError

# Types in which a user may give a whole number and a shape.
Count = int | np.integer
Sizes = Count | Sequence[Count] | np.ndarray

_TRACED = "a traced value, which is not known yet"


def is_whole(number: Any) -> bool:
    """Return whether a value is one whole number, and not traced.

    That is an integer of Python or NumPy, or an integer array without axes, but no boolean.
    """
    if isinstance(number, bool | np.bool_ | Tracer):
        return False
    if isinstance(number, int | np.integer):
        return True
    dtype = getattr(number, "dtype", None)
    return dtype is not None and np.shape(number) == () and jnp.issubdtype(dtype, jnp.integer)


def as_whole(
    where: str, number: Any, least: int, *, error: type[ExplainedError] = RunError, mend: str = ""
) -> int:
    """Convert to a Python integer.

    Args:
        where: The argument or site, for errors.
        number: What the user gave.
        least: Smallest number that makes sense.
        error: Type of the error to raise.
        mend: Further advice for the user.

    Raises:
        ExplainedError: It is not a whole number, or is below `least`.
    """
    if is_whole(number) and int(number) >= least:
        return int(number)
    found = f"{_TRACED}," if isinstance(number, Tracer) else repr(number)
    advice = f"Give a whole number of at least {least}. {mend}".rstrip()
    raise error(where, f"{found} was given", advice)


def as_shape(where: str, shape: Any) -> tuple[int, ...]:
    """Convert a shape to a tuple, as NumPy does: from one whole number or a sequence of them.

    Raises:
        ModelError: It is neither, or a size is negative.
    """
    if isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape):
        return shape
    several = isinstance(shape, Iterable) and getattr(shape, "ndim", 1) > 0
    sizes: list[Any] = [*shape] if several else [shape]
    if any(isinstance(size, Tracer) for size in sizes):
        raise ModelError(
            where,
            f"its shape is {_TRACED}",
            "Shapes are part of the program: take them from the shape of an array, or pass a whole "
            "number or infer.static(n) to the model. They cannot depend on latent values.",
        )
    if not all(is_whole(size) and int(size) >= 0 for size in sizes):
        raise ModelError(where, f"its shape is {shape!r}", "Give whole numbers, such as (4, 3).")
    return tuple(map(int, sizes))
