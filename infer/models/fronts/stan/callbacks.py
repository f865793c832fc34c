"""Stan's functions as JAX functions that can be batched and differentiated twice."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from .opened import Opened, Source, find_opened

# Relative length of a step of central differences: the error of the slope is least there.
STEP = float(np.cbrt(np.finfo(float).eps))


@dataclass(frozen=True)
class HostCall:
    """A function on the host that JAX calls; equal if it does the same.

    Attributes:
        kind: Which one.
        source: The program.
        call: Called as `call(opened, points, directions...)`, with rows of doubles.
    """

    kind: str
    source: Source
    call: Callable[..., tuple[np.ndarray, ...]]

    def __repr__(self) -> str:
        """Name the program by its text, so that equal ones have equal fingerprints."""
        return f"HostCall({self.kind!r}, {self.source!r})"

    def __call__(self, key: Any, *rows: Any) -> tuple[np.ndarray, ...]:
        """Evaluate all points of a batch, one after the other.

        Args:
            key: Hash of the data, shape (*batch, 2), or with axes of length 1.
            rows: Positions and directions, shape (*batch, size), likewise.
        """
        dtype, keys = np.asarray(rows[0]).dtype, np.asarray(key)
        host = [np.asarray(own, np.float64) for own in rows]
        lead = np.broadcast_shapes(keys.shape[:-1], *(own.shape[:-1] for own in host))
        flat = [np.ascontiguousarray(np.broadcast_to(a, lead + a.shape[-1:])) for a in host]
        flat = [a.reshape(-1, a.shape[-1]) for a in flat]
        found = self._by_data(np.broadcast_to(keys, (*lead, 2)).reshape(-1, 2), flat)
        with np.errstate(over="ignore"):
            return tuple(a.astype(dtype).reshape(lead + a.shape[1:]) for a in found)

    def _by_data(self, keys: np.ndarray, rows: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        """Evaluate the rows of each data set together."""
        if (keys == keys[0]).all():
            return self.call(find_opened(self.source, keys[0]), *rows)
        unique, sets = np.unique(keys, axis=0, return_inverse=True)
        sets = sets.reshape(-1)
        order = np.argsort(sets, kind="stable")
        each = [np.flatnonzero(sets == i) for i in range(len(unique))]
        parts = [
            self.call(find_opened(self.source, key), *(a[own] for a in rows))
            for key, own in zip(unique, each, strict=True)
        ]
        return tuple(np.concatenate(p)[np.argsort(order)] for p in zip(*parts, strict=True))


def _call_host(
    kind: str, call: Callable[..., Any], source: Source, shapes: tuple, key: Array, *rows: Array
) -> Any:
    outlines = [jax.ShapeDtypeStruct(shape, rows[0].dtype) for shape in shapes]
    host = HostCall(kind, source, call)
    return jax.pure_callback(host, tuple(outlines), key, *rows, vmap_method="expand_dims")


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def log_density(source: Source, key: Array, position: Array) -> tuple[Array, Array]:
    """Compute the log density of the constrained values, and the log-determinant, in nats.

    Args:
        source: The program.
        key: Hash of its data, shape (2,).
        position: Stan's unconstrained vector, shape (size,).
    """
    value, _, log_det, _ = _gradients(source, key, position)
    return value, log_det


@log_density.defjvp
def _(source: Source, primals: tuple, tangents: tuple) -> tuple:
    value, slope, log_det, its_slope = _gradients(source, *primals)
    return (value, log_det), (slope @ tangents[1], its_slope @ tangents[1])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _gradients(source: Source, key: Array, position: Array) -> tuple[Array, ...]:
    vector = position.shape
    return _call_host("gradients", Opened.evaluate, source, ((), vector, (), vector), key, position)


@_gradients.defjvp
def _(source: Source, primals: tuple, tangents: tuple) -> tuple:
    along, found = tangents[1], _gradients(source, *primals)
    shapes = (along.shape, along.shape)
    curved = _call_host("curvature", _curve, source, shapes, *primals, along)
    return found, (found[1] @ along, curved[0], found[3] @ along, curved[1])


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def constrain(source: Source, count: int, key: Array, position: Array) -> Array:
    """Compute parameters, transformed parameters and generated quantities, shape (count,)."""
    return _call_host("constrain", _constrain, source, ((count,),), key, position)[0]


@constrain.defjvp
def _(source: Source, count: int, primals: tuple, tangents: tuple) -> tuple:
    slopes = _call_host("slopes", _slopes, source, ((count,),), *primals, tangents[1])[0]
    return constrain(source, count, *primals), slopes


def _constrain(opened: Opened, points: np.ndarray) -> tuple[np.ndarray]:
    return (opened.constrain(points),)


def _curve(opened: Opened, points: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, ...]:
    """Compute products of the Hessians with directions, by central differences of gradients."""
    sides, steps = _step(points, along)
    after, before = (opened.evaluate(side) for side in sides)
    return (after[1] - before[1]) / steps, (after[3] - before[3]) / steps


def _slopes(opened: Opened, points: np.ndarray, along: np.ndarray) -> tuple[np.ndarray]:
    """Compute derivatives of quantities; those that are generated have none."""
    sides, steps = _step(points, along)
    after, before = (opened.density.constrain(side, None) for side in sides)
    found = np.full((len(points), len(opened.density.names)), np.nan)
    found[:, : opened.density.generated_from] = (after - before) / steps
    return (found,)


def _step(points: np.ndarray, along: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Step to both sides of points; also return how often the direction lies between them."""
    length = np.max(np.abs(along) / np.maximum(1.0, np.abs(points)), axis=1, keepdims=True)
    scale = STEP / np.where(length > 0, length, 1.0)
    return (points + scale * along, points - scale * along), 2 * scale
