"""JAX's generator of random bits, on the host, where small arrays need no compiled program.

Keys are key data of shape (*batch, 2), of the generator named in `keys.py`. The numbers equal those
of `jax.random` with `jax_threefry_partitionable`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
PARITY = np.uint32(0x1BD11BDA)


def fold_in(keys: np.ndarray, data: Any) -> np.ndarray:
    """Fold a whole number below 2^32 into each key, as `jax.random.fold_in` does.

    Args:
        keys: Key data, shape (*batch, 2).
        data: The numbers; their shape broadcasts against the batch of keys.

    Returns:
        Key data, shape (*batch, 2).
    """
    words = np.asarray(data, np.uint32)
    return np.stack(hash_counters(keys, np.zeros_like(words), words), -1)


def uniform(
    keys: np.ndarray, shape: Sequence[int], dtype: Any, low: float, high: float
) -> np.ndarray:
    """Draw float32 or float64 numbers from [low, high), shape (*batch, *shape)."""
    kind: np.dtype[Any] = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"cannot draw {kind}; dtype must be float32 or float64")
    count = int(np.prod(shape))
    counters = np.arange(count, dtype=np.uint64)
    halves = (counters >> np.uint64(32)).astype(np.uint32), counters.astype(np.uint32)
    left, right = hash_counters(np.expand_dims(keys, -2), *halves)
    if kind == np.float32:
        # The bits of a number in [1, 2): random mantissa, exponent of 1.
        mantissas = ((left ^ right) >> np.uint32(9)) | np.uint32(0x3F800000)
    else:
        bits = (left.astype(np.uint64) << np.uint64(32)) | right
        mantissas = (bits >> np.uint64(12)) | np.uint64(0x3FF0000000000000)
    one, least, most = (kind.type(number) for number in (1, low, high))
    numbers = mantissas.view(kind) - one
    return np.maximum(least, numbers * (most - least) + least).reshape((*keys.shape[:-1], *shape))


def normal(keys: np.ndarray, shape: Sequence[int], dtype: Any) -> np.ndarray:
    """Draw standard normal float32 or float64 numbers, shape (*batch, *shape).

    They equal those of `jax.random.normal` up to rounding.
    """
    # The import would delay those who draw none.
    from scipy.special import erfinv

    kind: np.dtype[Any] = np.dtype(dtype)
    least = np.nextafter(kind.type(-1), kind.type(0))
    return kind.type(np.sqrt(2)) * erfinv(uniform(keys, shape, kind, least, 1.0))


def hash_counters(keys: Any, first: Any, second: Any) -> tuple[Any, Any]:
    """Hash counters of two words each with keys, all NumPy or all JAX; all arguments broadcast.

    Source: Salmon et al. (2011), Parallel random numbers: as easy as 1, 2, 3; 20 rounds.
    """
    schedule = keys[..., 0], keys[..., 1], keys[..., 0] ^ keys[..., 1] ^ PARITY
    with np.errstate(over="ignore"):
        first, second = first + schedule[0], second + schedule[1]
        for turn in range(5):
            for by in ROTATIONS[turn % 2]:
                first = first + second
                second = _rotate(second, by) ^ first
            first = first + schedule[(turn + 1) % 3]
            second = second + schedule[(turn + 2) % 3] + np.uint32(turn + 1)
    return first, second


def _rotate(words: Any, by: int) -> Any:
    return (words << np.uint32(by)) | (words >> np.uint32(32 - by))
