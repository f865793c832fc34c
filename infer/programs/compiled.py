"""A compiled program, or why there is none; an earlier process may have compiled it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from .recalled import Kept, load_kept


class CompiledProgram(NamedTuple):
    """A compiled function, and how it was compiled.

    Attributes:
        call: The compiled function.
        is_native: Whether it is one native function.
        rewritten: Names of the primitives that were rewritten for the native form.
        has_lapack_calls: Whether it calls LAPACK, or would without rewriting.
        trace_s: Seconds spent tracing and lowering.
        compile_s: Seconds spent waiting for XLA.
        is_loaded: Whether an earlier process compiled it.
        file: Name of its file on disk; empty if it has none.
    """

    call: Callable[..., Any]
    is_native: bool
    rewritten: tuple[str, ...]
    has_lapack_calls: bool
    trace_s: float
    compile_s: float
    is_loaded: bool = False
    file: str = ""


class Refusal(NamedTuple):
    """Why a program cannot be compiled natively.

    Attributes:
        reason: In plain words.
        has_lapack_calls: Whether the program calls LAPACK.
    """

    reason: str
    has_lapack_calls: bool


Made = CompiledProgram | Refusal


def load_compiled(kept: Kept | Refusal, arguments: tuple[Any, ...], trace_s: float) -> Made | None:
    """Load a program that an earlier process compiled, in any thread; None if that fails.

    Args:
        kept: What is kept of it, or why it has no native form.
        arguments: Pytrees of the structure of its arguments.
        trace_s: Seconds spent until it was found.
    """
    if isinstance(kept, Refusal):
        return kept
    if (call := load_kept(kept, arguments)) is None:
        return None
    rewritten, lapack = kept.found.rewritten * kept.is_native, kept.found.has_lapack_calls
    return CompiledProgram(call, kept.is_native, rewritten, lapack, trace_s, 0, True, kept.name)
