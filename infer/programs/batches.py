"""Split batches of matrices, so that no LAPACK call waits for a thread of XLA.

jaxlib distributes a large batch over XLA's threads, and blocks the caller until all parts are done.
If callers occupy all of these threads, none is left for the parts: a deadlock. On two cores, two
calls in one program suffice for that, and so do two programs. The caller itself does a batch with
little work, and a single matrix (jaxlib 0.10, `GetLapackBatchChunkSize` and `ParallelBatchMap`
in `cpu/lapack_kernels.cc`).
"""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import jax
from jax.extend.core import JaxprEqn

# jaxlib distributes batches of 200,000 operations or more. It counts at most 10 operations per
# side cubed, or 30 for complex numbers.
LARGEST_WORK = 200_000
WORK_PER_PRODUCT = 30

# Primitives for which jaxlib calls LAPACK, with the number of axes of their first operand.
LAPACK = {
    "cholesky": 2,
    "cholesky_update": 2,
    "eig": 2,
    "eigh": 2,
    "geqp3": 2,
    "geqrf": 2,
    "hessenberg": 2,
    "householder_product": 2,
    "lu": 2,
    "ormqr": 2,
    "qr": 2,
    "schur": 2,
    "svd": 2,
    "symmetric_product": 2,
    "triangular_solve": 2,
    "tridiagonal": 2,
    "tridiagonal_solve": 1,
}


def split_batch(equation: JaxprEqn) -> Callable[..., Any] | None:
    """Return a function that evaluates an equation in small batches; None if it is small enough."""
    if equation.primitive.name not in LAPACK:
        return None
    own = LAPACK[equation.primitive.name]
    kinds: list[Any] = [atom.aval for atom in equation.invars]
    lead = kinds[0].shape[: kinds[0].ndim - own]
    side = max(max(kind.shape[len(lead) :], default=1) for kind in kinds)
    together = max(1, (LARGEST_WORK - 1) // (WORK_PER_PRODUCT * max(side, 1) ** 3))
    if prod(lead) <= together:
        return None
    return partial(_map_in_parts, equation, lead, together)


def _map_in_parts(equation: JaxprEqn, lead: tuple[int, ...], together: int, *operands: Any) -> Any:
    """Call LAPACK for `together` matrices at a time; `lead` are the leading axes of operands."""
    flat = [a.reshape(-1, *a.shape[len(lead) :]) for a in operands]
    one = lambda own: equation.primitive.bind(*own, **equation.params)  # noqa: E731
    results = jax.lax.map(one, flat, batch_size=together)
    return jax.tree.map(lambda a: a.reshape(lead + a.shape[1:]), results)
