"""Whether a traced program may be native, or is cheap to call, and how it is lowered if neither."""

from typing import Any

import jax

from .divided import replicate_results
from .products import explain_ordinary_form
from .rewrite import Analysis, compute_once, split_batches
from .switch import TURNED_OFF, is_native_allowed
from .work import count_work

# Numbers that a program may compute for the fastest compile to pay off: that takes about 1 ns more
# for each, and a quarter of the seconds, 0.2 to 1 less.
FAST_COMPILE_WORK = 2**26
# The same in each turn of a brief loop: each of some hundred turns may then take 8 ms more, and the
# compile takes one to three seconds less.
BRIEF_WORK = 2**23


def explain_form(program: jax.stages.Traced, found: Analysis) -> str | None:
    """Return why a program is not compiled natively; None if that may be tried."""
    if not is_native_allowed():
        return TURNED_OFF
    return explain_ordinary_form(program.jaxpr, found.missing)


def is_fast(form: str, program: jax.stages.Traced, found: Analysis) -> bool:
    """Return whether a program does so little work that the fastest compile pays off."""
    if form == "brief":
        return count_work(program.jaxpr, turns=1) <= BRIEF_WORK
    if form != "fast_compile" or found.missing or not is_on_cpu() or not is_native_allowed():
        return False
    return count_work(program.jaxpr) <= FAST_COMPILE_WORK


def is_on_cpu() -> bool:
    """Return whether programs run on a CPU."""
    return jax.default_backend() == "cpu"


def lower_as_kernels(
    program: jax.stages.Traced, found: Analysis, arguments: tuple[Any, ...]
) -> jax.stages.Lowered:
    """Lower a program as traced, unless it might deadlock on XLA's threads, or lose a gradient."""
    if found.has_large_batches and is_on_cpu():
        rewritten = split_batches(program)
    elif found.compares_itself:
        rewritten = compute_once(program)
    else:
        return program.lower()
    return jax.jit(rewritten, **replicate_results(arguments)).lower(*arguments)
