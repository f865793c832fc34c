"""Convert numbers to JAX arrays; refuse or report what is lost at JAX's precision."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ...errors import ModelError, warn_of_model
from .columns import without_column
from .foreign import as_native, explain, refuse_foreign, refuse_masked
from .sharded import read_own_rows
from .units import refuse_units

# Largest acceptable rounding error, relative to the mean difference between neighbors.
LARGEST_ROUNDING = 0.05
# Differences below this, relative to the entries, are taken for rounding errors.
NOISE = 1e-11
# In a larger array, only about this many of the first numbers are examined.
EXAMINED = 2**20
_OF_JAX = jax.Array | Tracer
_ENABLE = (
    'Enable double precision before making the model: jax.config.update("jax_enable_x64", True)'
)


def on_device(value: Any, name: str = "model") -> jax.Array:
    """Convert a value to a JAX array, without compiling; a JAX array is returned unchanged.

    An array is copied: JAX may use the memory of an array of NumPy, which can change in place.

    Args:
        value: Anything that `numpy.asarray` takes.
        name: The argument or the site, for messages.

    Raises:
        ModelError: A number is outside the range of JAX's dtype, or entries are masked.
    """
    if isinstance(value, jax.Array):
        return value
    refuse_masked(name, value)
    array = as_native(np.asarray(value))
    check_precision(name, array)
    return jax.device_put(np.array(array, jax.dtypes.canonicalize_dtype(array.dtype)))


def as_array(where: str, value: Any, what: str = "its value") -> Array:
    """Convert what a model's function passes to a site or returns to an array.

    Args:
        where: The site, for the error.
        value: The value.
        what: What to call it in the error.

    Raises:
        ModelError: It holds no numbers, masked entries, or whole numbers outside the range of
            JAX's dtype.
    """
    refuse_units(where, value, what)
    refuse_masked(where, value, what)
    bare = as_native(without_column(where, value, what))
    is_number = isinstance(bare, int | float | complex)
    try:
        if not is_number and not any(isinstance(own, _OF_JAX) for own in jax.tree.leaves(bare)):
            # The type of a list is that of all entries together.
            array = np.asarray(bare)
            check_precision(where, array)
            bare = bare if isinstance(bare, list | tuple) else array
        elif is_number:
            check_precision(where, bare)
        return jnp.asarray(bare)
    except (ModelError, jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        raise
    except OverflowError as error:
        found = f"{what} holds a whole number that JAX's default type cannot hold"
        raise ModelError(where, found, f"{_ENABLE}; or give floats.") from error
    except (TypeError, ValueError) as error:
        raise ModelError(where, *explain(what, value)) from error


def check_precision(name: str, value: Any) -> None:
    """Check that a NumPy array keeps its information at JAX's precision.

    JAX arrays, arrays whose dtype JAX keeps, and floats of Python are not examined.

    Raises:
        ModelError: Whole numbers would wrap around, or finite numbers would become infinite.

    Warns:
        ModelWarning: The rounding error is comparable to the differences between entries.
    """
    if isinstance(value, int):
        _refuse_wrapping(name, np.asarray(value), np.iinfo(jnp.result_type(int)))
    if not isinstance(value, np.ndarray | np.generic) or not value.size:
        return
    given, kept = np.asarray(value), jax.dtypes.canonicalize_dtype(value.dtype)
    if kept == given.dtype:
        return
    if np.issubdtype(kept, np.integer):
        _refuse_wrapping(name, given, np.iinfo(kept))
    elif np.issubdtype(kept, np.inexact):
        _check_floats(name, given, kept)


def read_observed(name: str, value: Any) -> Any:
    """Return what a site observed, a column as an array, after checking it.

    Raises:
        ModelError: It holds no numbers, or NaN, labels or gaps, or numbers outside the range of
            JAX's dtype.

    Warns:
        ModelWarning: As `check_precision` does.
    """
    refuse_units(name, value, "its value")
    value = without_column(name, value, "its value")
    if any(isinstance(entry, Tracer) for entry in jax.tree.leaves(value)):
        value = as_array(name, value)
    refuse_foreign(name, value, "its value")
    refuse_masked(name, value, "its value")
    value = as_native(np.asarray(value) if isinstance(value, list | tuple | range) else value)
    refuse_nan(name, value)
    check_precision(name, value)
    return value


def refuse_nan(name: str, array: Any) -> None:
    """Raise if a concrete array holds NaN, or masked entries."""
    refuse_masked(name, array)
    if isinstance(array, Tracer) or not jnp.issubdtype(jnp.result_type(array), jnp.inexact):
        return
    bad = np.isnan(read_own_rows(array))
    if bad.any():
        raise ModelError(
            name,
            f"the data hold {int(bad.sum())} NaN of {bad.size}, the first at index {_first(bad)}",
            "Drop or fill in these entries before passing the data to the model.",
        )


def _refuse_wrapping(name: str, given: np.ndarray, kept: np.iinfo) -> None:
    if kept.min <= given.min() and given.max() <= kept.max:
        return
    found = given[_first((given < kept.min) | (given > kept.max))]
    raise ModelError(
        name,
        f"it holds {found}, which is outside the range of {kept.dtype}, JAX's default for whole "
        "numbers",
        f"{_ENABLE}; or subtract an offset, number categories from 0, or give floats.",
    )


def _check_floats(name: str, given: np.ndarray, kept: Any) -> None:
    size = np.abs(given) if np.iscomplexobj(given) else given
    if size.max() > np.finfo(kept).max or size.min() < np.finfo(kept).min:
        _refuse_overflow(name, given, kept)
    columns = given.reshape(len(given) if given.ndim else 1, -1)
    error, difference = _lost(columns[: EXAMINED // columns.shape[1] + 2], kept)
    if error:
        warn_of_model(
            name,
            f"neighboring entries differ by {difference:.2g} on average, and rounding to {kept}, "
            f"JAX's default precision, changes entries by up to {error:.2g}",
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
            f"{_ENABLE}; or use other units.",
        )


def _lost(columns: np.ndarray, kept: Any) -> tuple[float, float]:
    """Return rounding error and mean difference of the first column where they are comparable.

    Neighbors along the first axis are compared, since columns may have different units, and
    differences between times may be much smaller than their standard deviation. Returns zeros if
    there is no such column.
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
