"""Compile a program once, as one native function on a CPU where XLA can, and keep it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import jax
from jax.experimental.xla_metadata import set_xla_metadata

KEPT = 64


class Program(NamedTuple):
    """A compiled function and how it came about.

    Attributes:
        call: The compiled function.
        native: Whether the whole of it is one native function.
        trace_s: Seconds spent tracing and lowering.
        compile_s: Seconds spent in XLA.
    """

    call: Callable[..., Any]
    native: bool
    trace_s: float
    compile_s: float


class Refusal(NamedTuple):
    """XLA's reason why it cannot compile a program natively."""

    reason: str


_kept: OrderedDict[Hashable, Program | Refusal] = OrderedDict()


def program(
    function: Callable[..., Any], static: tuple[Hashable, ...], arguments: tuple[Any, ...],
    *, native: bool,
) -> tuple[Program | Refusal, bool]:  # fmt: skip
    """Compile `function(*static, *arguments)`, or find it among those compiled before.

    Args:
        function: A module-level function.
        static: Leading arguments that the program is made for.
        arguments: Arrays; only their shapes and types matter here.
        native: Compile the whole program as one native CPU function.

    Returns:
        The program, or XLA's refusal of the native form; and whether it is new.
    """
    leaves, structure = jax.tree.flatten(arguments)
    key = (function, static, structure, tuple(map(_kind, leaves)), native, *_configuration())
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key], False
    made = _compile(partial(function, *static), arguments, native)
    _kept[key] = made
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return made, True


def _configuration() -> tuple[Hashable, ...]:
    """What else in JAX's configuration changes a program."""
    names = ("jax_enable_x64", "jax_default_matmul_precision")
    return tuple(getattr(jax.config, name) for name in names)


def _kind(leaf: Any) -> Hashable:
    kind = jax.typeof(leaf)
    return kind.shape, kind.dtype, getattr(kind, "weak_type", False)


def _compile(
    function: Callable[..., Any], arguments: tuple[Any, ...], native: bool
) -> Program | Refusal:
    began = time.perf_counter()
    # Bits must not depend on how the user's own programs draw theirs.
    with jax.threefry_partitionable(True):
        lowered = jax.jit(_natively(function) if native else function).lower(*arguments)
    traced = time.perf_counter()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if not native:
            raise
        return Refusal(str(error).split("\n")[0])
    call = _first_of(compiled) if native else compiled
    return Program(call, native, traced - began, time.perf_counter() - traced)


def _natively(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark the call of `function`, so that XLA compiles its loop whole.

    XLA's CPU runtime otherwise dispatches every small kernel of a loop body by itself,
    which costs more than the kernels of a small model.
    """

    # jaxlib 0.10 aborts the process where XLA finds an argument of such a call dead, so a
    # number of each is returned, and thrown away by the caller: JAX itself would drop it here.
    def alive(*arguments: Any) -> Any:
        touched = [leaf.reshape(-1)[:1] for leaf in jax.tree.leaves(arguments)]
        return function(*arguments), touched

    inner = jax.jit(alive)

    def called(*arguments: Any) -> Any:
        with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):
            return inner(*arguments)

    return called


def _first_of(compiled: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments: compiled(*arguments)[0]
