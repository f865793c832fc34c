"""Look up the functions of LAPACK for programs that are loaded from disk."""

from functools import cache

import jax
import jax.numpy as jnp

# How the names of calls begin.
CALLS = b"lapack_"


def prepare_lapack(executable: bytes) -> None:
    """Look up LAPACK's functions, once a process, if a serialized executable calls any of them.

    JAX finds their addresses in SciPy when it lowers the first such call. In a process that lowers
    none, a call would go to the address 0. SciPy takes 0.2 s to import, so only then.
    """
    if CALLS in executable:
        _lower_a_call()


@cache
def _lower_a_call() -> None:
    matrix = jax.ShapeDtypeStruct((1, 1), jnp.float32)
    jax.jit(jax.lax.linalg.cholesky).trace(matrix).lower(lowering_platforms=("cpu",))
