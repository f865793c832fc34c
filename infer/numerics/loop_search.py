"""The search of `mode_search` in a compiled loop, as a function that XLA compiles once."""

from contextlib import nullcontext

import jax
from jax.experimental.xla_metadata import set_xla_metadata

from .mode_search import Search, advance
from .namespace import Count, Scalar, Vector

# XLA fuses the scalars of a search into everything that follows, and would compile each many times,
# unless they are a function of their own; and a native one, whatever the form of the program. The
# loop of a normal takes 0.48 s of CPU to compile, not 0.63; that of a Gaussian process, 2.1, not 4.
AS_ONE_FUNCTION = {"xla_cpu_small_call": "true", "inlineable": "false"}


def advance_in_loop(
    search: Search, loss: Scalar, gradient: Vector, tolerance: Scalar, max_steps: Count
) -> Search:
    """Do as `mode_search.advance`; traced."""
    is_cpu = jax.default_backend() == "cpu"
    with set_xla_metadata(**AS_ONE_FUNCTION) if is_cpu else nullcontext():
        return jax.jit(advance)(search, loss, gradient, tolerance, max_steps)
