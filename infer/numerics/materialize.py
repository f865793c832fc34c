"""Make XLA compute a value once, instead of again in each kernel that uses it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int


def materialize(value: Array, count: Int[Array, ""]) -> Array:
    """Return a value, numbers or truth values; on a CPU, divided by 1.

    XLA merges a cheap operation into each kernel that reads its result, of which a step of NUTS has
    many, and LLVM then compiles as many copies. A division is too costly for that. On an
    accelerator fewer kernels are better.

    Args:
        value: Any array.
        count: A non-negative integer unknown at compile time, so that XLA cannot drop the 1.
    """
    if jax.default_backend() != "cpu":
        return value
    if value.dtype == bool:
        return materialize(value.astype(jnp.float32), count) > 0
    # By one number for all entries, XLA would multiply by its reciprocal instead.
    each = count + jax.lax.broadcasted_iota(count.dtype, value.shape, 0) if value.ndim else count
    return value / jnp.where(each < 0, 2.0, 1.0).astype(value.dtype)
