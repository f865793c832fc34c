"""Compile a program once, on a CPU as one native function if XLA can, and keep it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Literal

import jax

from bijectors.garbage import pause_collection

from ..types import signature_of
from .by_name import explain_refusal, name_errors, refuse_leaks
from .cached import find_out, keep
from .compiled import CompiledProgram, Made, Refusal, load_compiled
from .divided import explain_division, in_turn, replicate_results
from .forked import refuse_if_forked
from .forms import explain_form, is_fast, is_on_cpu, lower_as_kernels
from .kernels import compile_as_kernels
from .marked import choose_native_options, compile_natively, mark_as_native
from .outlined import describe_call
from .recalled import describe_trace, recall
from .rewrite import analyze
from .switch import is_native_allowed

# How a program is compiled: as one native function, on a CPU, with the fastest compile if its loops
# are brief; kernel by kernel, as XLA does; in whichever of the two it has, the native one first;
# or, for rarely called programs, with the fastest compile.
Form = Literal["native", "brief", "kernels", "either", "fast_compile"]
KEPT = 64


_kept: OrderedDict[Hashable, Made | Future[Made | None]] = OrderedDict()


def prepare(
    function: Callable[..., Any], static: tuple[Hashable, ...], arguments: tuple[Any, ...],
    form: Form,
) -> None:  # fmt: skip
    """Trace a program that will be needed, and let XLA compile it in another thread.

    Args:
        function: A module-level function.
        static: Leading arguments that the program is compiled for.
        arguments: Arrays; only their shapes and dtypes matter.
        form: How to compile it.
    """
    refuse_if_forked()
    key = _key(function, static, arguments, form)
    if key in _kept:
        return
    compiling = _trace(_bind(function, static), arguments, form)
    other = ThreadPoolExecutor(1)
    _keep(key, future := other.submit(compiling))
    # The cause of a failure, such as a full memory, may be gone at the next call.
    future.add_done_callback(lambda done: _kept.pop(key) if done.exception() else None)
    other.shutdown(wait=False)


def compile_program(
    function: Callable[..., Any], static: tuple[Hashable, ...], arguments: tuple[Any, ...],
    form: Form,
) -> tuple[CompiledProgram | Refusal, bool]:  # fmt: skip
    """Compile `function(*static, *arguments)`, or return the program compiled before.

    Args:
        function: A module-level function.
        static: Leading arguments that the program is compiled for.
        arguments: Arrays; only their shapes and dtypes matter here.
        form: How to compile it.

    Returns:
        The program, or why it has no native form; and whether it is new.
    """
    refuse_if_forked()
    key = _key(function, static, arguments, form)
    kept, bound = _kept.get(key), _bind(function, static)
    new = kept is None or isinstance(kept, Future)
    if kept is None:
        kept = _wait_for(_trace(bound, arguments, form))
    made = _wait_for(kept.result) if isinstance(kept, Future) else kept
    made = made or _wait_for(_trace(bound, arguments, form, recalls=False))
    assert made is not None
    _keep(key, made)
    return made, new


def call_compiled(
    function: Callable[..., Any], *arguments: Any, static: tuple[Hashable, ...] = (),
    form: Literal["kernels", "either", "fast_compile"] = "kernels",
) -> Any:  # fmt: skip
    """Call `function(*static, *arguments)`, compiled in a form that XLA takes of any program.

    Args:
        function: A module-level function.
        arguments: Pytrees of arrays.
        static: Leading arguments that it is compiled for.
        form: How to compile it.
    """
    made, _ = compile_program(function, static, arguments, form)
    assert isinstance(made, CompiledProgram)
    return made.call(*arguments)


def _keep(key: Hashable, made: Made | Future[Made | None]) -> None:
    """Keep a program, or one being compiled, and drop the least recently used one."""
    _kept[key] = made
    _kept.move_to_end(key)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)


def _wait_for(finish: Callable[[], Made | None]) -> Made | None:
    began = time.perf_counter()
    made = finish()
    seconds = time.perf_counter() - began
    return made._replace(compile_s=seconds) if isinstance(made, CompiledProgram) else made


def _key(
    function: Callable[..., Any], static: tuple[Hashable, ...], arguments: tuple[Any, ...],
    form: Form,
) -> Hashable:  # fmt: skip
    return function, static, signature_of(arguments), form, is_native_allowed()


def _bind(function: Callable[..., Any], static: tuple[Hashable, ...]) -> Callable[..., Any]:
    return partial(function, *static) if static else function


@pause_collection()
def _trace(
    function: Callable[..., Any], arguments: tuple[Any, ...], form: Form, recalls: bool = True
) -> Callable[[], Made | None]:
    """Trace and lower a program now; return a function that compiles it, in any thread.

    If `recalls` and an earlier process compiled it, that loads it, and returns None if it fails.
    """
    began, outlined = time.perf_counter(), describe_call(function, arguments, form)
    if recalls and (known := find_out(outlined)):
        return partial(load_compiled, known, arguments, time.perf_counter() - began)
    # Random bits must not depend on the user's setting of this option.
    with jax.threefry_partitionable(True), name_errors():
        # JAX keeps what it traced, for `disagreement.py`, if the function is the same object.
        program = jax.jit(function, **replicate_results(arguments)).trace(*arguments)
        refuse_leaks(program)
        found, division = analyze(program.jaxpr), explain_division(arguments)
        required, why = form in ("native", "brief"), division or explain_form(program, found)
        if required and why:
            keep(outlined, refusal := Refusal(why, found.has_lapack_calls))
            return lambda: refusal
        fast = not division and is_fast(form, program, found)
        native = required or fast or (form == "either" and not why and is_on_cpu())
        options = choose_native_options(fast) if native else None
        described = describe_trace(program, form)
        if recalls and (kept := recall(described, program, options, found)):
            keep(outlined, kept)
            return partial(load_compiled, kept, arguments, time.perf_counter() - began)
        marked = mark_as_native(program).trace(*arguments) if native else None
        lowered = marked.lower() if marked else lower_as_kernels(program, found, arguments)
    seconds = time.perf_counter() - began

    def compile_kernels() -> CompiledProgram:
        own = lower_as_kernels(program, found, arguments) if native else lowered
        call, loaded = compile_as_kernels(own, found.has_transforms, described)
        call = in_turn(call, arguments) if division else call
        return CompiledProgram(call, False, (), found.has_lapack_calls, seconds, 0.0, loaded)

    def compile_form() -> Made:
        if not native:
            return compile_kernels()
        try:
            call, loaded = compile_natively(lowered, fast, described)
        except jax.errors.JaxRuntimeError as error:
            refusal = Refusal(explain_refusal(error), found.has_lapack_calls)
            return refusal if required else compile_kernels()
        lapack = found.has_lapack_calls
        return CompiledProgram(call, True, found.rewritten, lapack, seconds, 0.0, loaded)

    def compile_and_keep() -> Made:
        made = compile_form()
        keep(outlined, kept := recall(described, program, options, found))
        return made._replace(file=kept.name) if kept and isinstance(made, CompiledProgram) else made

    return compile_and_keep
