"""A trace of fixed length, of every step, then of every second, every fourth, and so on."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .namespace import Count

LENGTH = 256


def make_trace(like: Array, columns: int) -> Float[Array, "columns length"]:
    """Make a trace with no recorded steps."""
    return jnp.zeros((columns, LENGTH), like.dtype)


def record(
    trace: Float[Array | np.ndarray, "columns length"],
    step: Count,
    values: Float[Array | np.ndarray, "columns"],
) -> Float[Array | np.ndarray, "columns length"]:
    """Record the values of a step, which must follow the last one recorded.

    It is traced, or on the host, where the trace may be changed in place.

    When the trace is full, every second step is dropped first, so the rest stay evenly spaced.
    """
    if isinstance(trace, np.ndarray):
        return _record_on_host(trace, int(step), values)
    stride = _stride(step)
    thinned = jax.lax.cond(stride > _stride(jnp.maximum(step - 1, 0)), _thin, jnp.array, trace)
    written = jax.lax.dynamic_update_index_in_dim(thinned, values, step // stride, 1)
    return jnp.where(step % stride == 0, written, thinned)


def _record_on_host(trace: np.ndarray, step: int, values: Any) -> np.ndarray:
    stride, before = (1 << (max(s, 0) // LENGTH).bit_length() for s in (step, step - 1))
    if stride > before:
        trace = np.concatenate([trace[:, ::2], np.zeros_like(trace[:, ::2])], 1)
    if step % stride == 0:
        trace[:, step // stride] = values
    return trace


def list_recorded_steps(count: int) -> np.ndarray:
    """List the steps, counted from 0, that a trace of `count` steps contains."""
    stride = 1 << ((count - 1) // LENGTH).bit_length()
    return np.arange(0, count, stride)


def _stride(step: Int[Array, ""]) -> Int[Array, ""]:
    """Return the smallest power of two at which the steps so far fit into the trace."""
    bits = 32 - jax.lax.clz((step // LENGTH).astype(jnp.int32))
    return jnp.left_shift(jnp.int32(1), bits)


def _thin(trace: Float[Array, "columns length"]) -> Float[Array, "columns length"]:
    kept = trace[:, ::2]
    return jnp.concatenate([kept, jnp.zeros_like(kept)], 1)
