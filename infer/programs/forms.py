"""Whether a traced program may be native, or is cheap to call, and how it is lowered if neither."""

from typing import Any

import jax

from .divided import replicate_results
from .products import explain_ordinary_form
from .rewrite import Analysis, compute_once, split_batches
from .switch import TURNED_OFF, is_native_allowed
from .work import count_work

# Numbers that a program may compute for the fastest compile to pay off.
FAST_COMPILE_WORK = 2**24


def explain_form(program: jax.stages.Traced, found: Analysis) -> str | None:
    """Return why a program is not compiled natively; None if that may be tried."""
    if not is_native_allowed():
        return TURNED_OFF
    return explain_ordinary_form(program.jaxpr, found.missing)


def is_cheap(program: jax.stages.Traced, found: Analysis) -> bool:
    """Return whether a program does so little work that a fast compile pays off."""
    is_small = not found.missing and count_work(program.jaxpr) <= FAST_COMPILE_WORK
    return _on_cpu() and is_native_allowed() and is_small


def _on_cpu() -> bool:
    return jax.default_backend() == "cpu"


def lower_as_kernels(
    program: jax.stages.Traced, found: Analysis, arguments: tuple[Any, ...]
) -> jax.stages.Lowered:
    """Lower a program as traced, unless it might deadlock on XLA's threads, or lose a gradient."""
    if found.has_large_batches and _on_cpu():
        rewritten = split_batches(program)
    elif found.compares_itself:
        rewritten = compute_once(program)
    else:
        return program.lower()
    return jax.jit(rewritten, **replicate_results(arguments)).lower(*arguments)
