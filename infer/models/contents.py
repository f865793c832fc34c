"""Describe the contents of data by a text, so that a change in place is seen."""

import pickle
from hashlib import sha256
from io import RawIOBase
from itertools import count
from typing import Any
from weakref import ref
from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np

from ..errors import ModelError

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
CONTAINERS = (list, tuple, dict, set, frozenset)
KINDS = frozenset(PLAIN + CONTAINERS)
# Descriptions of arrays that were met before, by identity: for NumPy a hash or checksum, for JAX
# a running number.
_known: dict[int, tuple[Any, str]] = {}
_numbers = count()


class _Sum(RawIOBase):
    """A file that keeps only a sum of what is written to it."""

    total = 0

    def write(self, content: Any) -> int:
        self.total = crc32(content, self.total)
        return len(content)

    def add(self, buffer: pickle.PickleBuffer) -> None:
        """Add an array as it lies in memory."""
        self.write(buffer.raw())


def sum_pickled(value: Any) -> str:
    """Return a checksum of what an object holds, as text, by pickling it into no file.

    One change within 32 bits, such as of a number in single precision, always changes it; any
    other goes unseen with a chance of 2^-32. It takes about a second per gigabyte.

    Raises:
        Exception: It cannot be pickled.
    """
    found = _Sum()
    pickle.Pickler(found, 5, buffer_callback=found.add).dump(value)
    return f"{found.total:x}"


def describe_entries(array: Any, is_small: bool) -> str:
    """Return text that changes with the entries of an array of numbers.

    Args:
        array: An array of NumPy or of JAX.
        is_small: Whether the text is to be the same in other processes. Otherwise it is a checksum,
            which is found faster; or for an array of JAX, which never changes, its number.

    Raises:
        ModelError: JAX still has what an array of NumPy held before it was changed in place.
    """
    if not is_small and isinstance(array, jax.Array):
        return _recall(array) or _keep(array, f"array {next(_numbers)}")
    described = sha256(np.asarray(array).tobytes()).hexdigest() if is_small else sum_pickled(array)
    if isinstance(array, np.ndarray) and _recall(array) != described:
        _refuse_outdated(array)
        _keep(array, described)
    return described


def _recall(array: Any) -> str | None:
    found, described = _known.get(id(array), (None, None))
    return described if found is not None and found() is array else None


def _keep(array: Any, described: str) -> str:
    own = id(array)
    _known[own] = ref(array, lambda _: _known.pop(own, None)), described
    return described


def _refuse_outdated(array: np.ndarray) -> None:
    """Raise if JAX has converted an array, and keeps the result although the array has changed.

    It does so as long as some program has the result, if the precision is not that of the array.
    If the model's function reads the array with NumPy alone, it would not get that result, and the
    error is a false alarm; nothing here shows how it reads it.
    """
    kept = jax.dtypes.canonicalize_dtype(array.dtype)
    if kept == array.dtype:
        return
    with np.errstate(all="ignore"):
        now, known = np.asarray(array, kept), jax.make_jaxpr(lambda: jnp.asarray(array))().consts
    if not all(np.array_equal(now, own, equal_nan=True) for own in known):
        raise ModelError(
            "model",
            f"an array of shape {array.shape} and type {array.dtype} that its function reads, and "
            "does not take as an argument, was changed in place; JAX still has its earlier numbers",
            "Pass it as an argument, as data; or make another array: y = y + 1 in place of y += 1. "
            "Now y = y.copy() is enough, also if the function reads y with NumPy alone.",
        )


def describe_plain(value: Any) -> str | None:
    """Return text that changes with a container that holds only numbers, strings and containers.

    Containers that are met again, which may be within themselves, are read once.

    Args:
        value: A value of one of the types `CONTAINERS`.

    Returns:
        The text; None if anything else is inside.

    Raises:
        RecursionError: The containers are too deep to be pickled.
    """
    left, met = [value], set()
    while left:
        own = left.pop()
        if id(own) in met:
            continue
        met.add(id(own))
        parts = [*own, *own.values()] if type(own) is dict else own
        kinds = set(map(type, parts))
        if not kinds <= KINDS:
            return None
        if not kinds.isdisjoint(CONTAINERS):
            left += [part for part in parts if type(part) in CONTAINERS]
    return f"{type(value).__name__} {sha256(pickle.dumps(value, 5)).hexdigest()}"
