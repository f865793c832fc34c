"""Find products of matrices that are so large that XLA's library beats native loops."""

from collections.abc import Sequence
from math import prod
from typing import Any

from .rewrite import list_equations

# Products of two numbers above which a product of matrices is left to XLA's library. On two cores,
# jax 0.10.2, a step of ADVI for digits took in native and ordinary loops, in ms of CPU time: 0.67
# and 1.08 with 32 units, 2.2 and 2.5 with 100 (10^6 products), 6.8 and 6.0 with 200; HMC for a
# network of 2 * 10^6 products 0.69 and 0.24 s. A single product of 10^6 alone took 145 and 36 us.
# That was before native loops added outer products (`matrices.py`), which made a core as fast as in
# the library; the library still divides a product among threads.
LARGEST_NATIVE_PRODUCT = 10**6


def explain_ordinary_form(program: Any, missing: Sequence[str]) -> str | None:
    """Say why a jaxpr gets an ordinary loop, not a native one; `None` if it may get either.

    Args:
        program: The jaxpr.
        missing: Names of its primitives without a native form.
    """
    if missing:
        return f"no native form of {', '.join(missing)}"
    if has_large_product(program):
        return "products of matrices as large as its own are faster in XLA's library"
    return None


def has_large_product(program: Any) -> bool:
    """Return whether a jaxpr has a product of two matrices that is too large for native loops."""
    return any(count_products(own) > LARGEST_NATIVE_PRODUCT for own in list_equations(program))


def count_products(equation: Any) -> int:
    """Count the products of two numbers in a product of two matrices; 0 for anything else."""
    if equation.primitive.name != "dot_general":
        return 0
    (summed, _), (batch, _) = equation.params["dimension_numbers"]
    left, right = (atom.aval for atom in equation.invars)
    terms = prod(left.shape[i] for i in summed)
    shared = terms * prod(left.shape[i] for i in batch)
    # One by a vector is as fast in native loops.
    has_vector = min(left.size, right.size) <= shared
    return 0 if has_vector else terms * prod(equation.outvars[0].aval.shape)
