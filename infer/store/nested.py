"""Nested values as arrays by name in one file, read back into a structure that is already known.

No type is named in the file, and nothing in it is unpickled: the reader brings the structure.
"""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.tree_util import keystr

from ..errors import RunError

# The entry of a file that holds what is not an array.
NUMBERS = "numbers.json"


def flatten(name: str, tree: Any) -> dict[str, np.ndarray]:
    """Return the leaves of a pytree as arrays on the host, by their path after `name`."""
    return {name + keystr(p): np.asarray(leaf) for p, leaf in jax.tree.leaves_with_path(tree)}


def find_outline(name: str, outlines: Sequence[Any], arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the first of several outlines whose leaves are all there, or else the first."""
    return next(
        (own for own in outlines if flatten(name, own).keys() <= arrays.keys()), outlines[0]
    )


def rebuild(name: str, outline: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Put arrays in the place of the leaves of `outline`, which they must match.

    Scalars match in any precision, since an engine may compute them as plain numbers.

    Args:
        name: What `flatten` was called with.
        outline: A pytree with the wanted structure, shapes and dtypes.
        arrays: Arrays by path.

    Raises:
        RunError: An array is missing, or has another shape or dtype.
    """
    paths, structure = jax.tree.flatten_with_path(outline)
    leaves = [_match(name + keystr(path), leaf, arrays) for path, leaf in paths]
    return jax.tree.unflatten(structure, leaves)


def _match(name: str, leaf: Any, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    wanted = np.dtype(getattr(leaf, "dtype", type(leaf))), np.shape(leaf)
    if name in arrays:
        found = arrays[name]
        # NumPy's format has no name for types such as bfloat16, and keeps their bytes.
        if found.dtype.kind == "V" and found.dtype.itemsize == wanted[0].itemsize:
            found = found.view(wanted[0])
        is_like = not found.ndim and found.dtype.kind == wanted[0].kind
        if found.shape == wanted[1] and (is_like or found.dtype == wanted[0]):
            return found
    what = f"{arrays[name].dtype}{list(arrays[name].shape)}" if name in arrays else "missing"
    raise RunError(
        name,
        f"it is {what}, where {wanted[0]}{list(wanted[1])} is needed",
        "Use the engine and a model of the size of the run that wrote the file, and if those are "
        "the same, the version of the library that did.",
    )


def encode(arrays: Mapping[str, np.ndarray], numbers: Mapping[str, Any]) -> bytes:
    """Write arrays and plain values as one file in NumPy's npz format.

    Args:
        arrays: Arrays by name.
        numbers: What JSON can hold.
    """
    text = np.frombuffer(json.dumps(numbers).encode(), np.uint8)
    written = io.BytesIO()
    np.savez(written, allow_pickle=False, **{**arrays, NUMBERS: text})  # pyright: ignore[reportArgumentType]
    return written.getvalue()


def decode(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `encode` wrote; nothing is unpickled.

    Raises:
        ValueError: These are not the bytes of such a file, or they are damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as read:
            arrays = {name: read[name] for name in read.files}
        return arrays, json.loads(arrays.pop(NUMBERS).tobytes())
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"not a file of this library, or damaged: {error}") from error
