"""Make JAX arrays of the user's numbers; refuse or report what the precision in use would lose."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...errors import ModelError, warn_of_model

# Rounding may move entries by so much of the mean difference between neighbors.
LARGEST_ROUNDING = 0.05
# Differences below this, relative to the entries, are rounding errors of what computed them.
NOISE = 1e-11
# In a larger array, rounding is judged by this many of its first numbers.
ENOUGH = 2**20
_ENABLE = (
    'Enable double precision before making the model: jax.config.update("jax_enable_x64", True)'
)


def on_device(value: Any, name: str = "model") -> jax.Array:
    """Make a JAX array without compiling anything; one that is already one is returned unchanged.

    Args:
        value: Anything that `numpy.asarray` takes.
        name: The argument or site it belongs to, for messages.

    Raises:
        ModelError: A number is beyond the range of JAX's type.
    """
    if isinstance(value, jax.Array):
        return value
    array = np.asarray(value)
    check_precision(name, array)
    return jax.device_put(array)


def check_precision(name: str, value: Any) -> None:
    """Check that the numbers of a NumPy array survive as numbers of JAX's precision.

    JAX arrays, and what has a type that JAX keeps, are not looked at.

    Raises:
        ModelError: Whole numbers would wrap, or finite ones would become infinite.

    Warns:
        ModelWarning: Rounding would hide the differences between entries.
    """
    if not isinstance(value, np.ndarray | np.generic) or not value.size:
        return
    given, kept = np.asarray(value), jax.dtypes.canonicalize_dtype(value.dtype)
    if kept == given.dtype:
        return
    if np.issubdtype(kept, np.integer):
        _refuse_wrapping(name, given, np.iinfo(kept))
    elif np.issubdtype(kept, np.inexact):
        _check_floats(name, given, kept)


def refuse_nan(name: str, array: Any) -> None:
    """Raise if a concrete array holds NaN."""
    if isinstance(array, Tracer) or not jnp.issubdtype(jnp.result_type(array), jnp.inexact):
        return
    bad = np.isnan(np.asarray(array))
    if bad.any():
        raise ModelError(
            name,
            f"the data hold {int(bad.sum())} NaN of {bad.size}, the first at index {_first(bad)}",
            "Drop these rows, or fill them in, before the model sees them.",
        )


def _refuse_wrapping(name: str, given: np.ndarray, kept: np.iinfo) -> None:
    if kept.min <= given.min() and given.max() <= kept.max:
        return
    found = given[_first((given < kept.min) | (given > kept.max))]
    raise ModelError(
        name,
        f"it holds {found}, which does not fit {kept.dtype}, the whole numbers of JAX's default "
        "precision",
        f"{_ENABLE}; or subtract an offset, number the categories from 0, or give floats.",
    )


def _check_floats(name: str, given: np.ndarray, kept: Any) -> None:
    size = np.abs(given) if np.iscomplexobj(given) else given
    if size.max() > np.finfo(kept).max or size.min() < np.finfo(kept).min:
        _refuse_overflow(name, given, kept)
    columns = given.reshape(len(given) if given.ndim else 1, -1)
    error, difference = _lost(columns[: ENOUGH // columns.shape[1] + 2], kept)
    if error:
        warn_of_model(
            name,
            f"it differs from entry to entry by {difference:.2g} on average, and rounding to {kept}"
            f", JAX's default precision, moves entries by up to {error:.2g}",
            f"Subtract an offset, such as the mean. Or: {_ENABLE}.",
        )


def _refuse_overflow(name: str, given: np.ndarray, kept: Any) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        infinite = np.isinf(given.astype(kept)) & np.isfinite(given)
    if infinite.any():
        found = given[_first(infinite)]
        raise ModelError(
            name,
            f"it holds {found:.6g}, which is infinite in {kept}, JAX's default precision",
            f"{_ENABLE}; or give it in other units.",
        )


def _lost(columns: np.ndarray, kept: Any) -> tuple[float, float]:
    """Return rounding error and mean difference of the first column in which they are alike.

    Neighbors along the first axis are compared, since columns may have different units, and times
    may lie closer to each other than their standard deviation says. Zeros if no column suffers.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.abs(columns.astype(kept) - columns).max(0)
    for column in np.flatnonzero(error > 0):
        own = columns[:, column]
        steps = np.abs(np.diff(own))
        steps = steps[steps > NOISE * np.abs(own).max()]
        if steps.size and error[column] > LARGEST_ROUNDING * steps.mean():
            return float(error[column]), float(steps.mean())
    return 0.0, 0.0


def _first(bad: Any) -> tuple[int, ...]:
    """Return the index of the first true entry."""
    return tuple(int(i[0]) for i in np.nonzero(bad)) if bad.ndim else ()
