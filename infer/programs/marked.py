"""Compile a program on a CPU as one native function, by a mark that XLA knows."""

import operator
import re
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array

from .cached import Executable, compile_or_load
from .kernels import WITHOUT_LIBRARY
from .rewrite import rewrite_as_loops

# LLVM's level 3 takes up to 1.4 times as long as level 2, and its loops are no faster. A vector
# width of 0 lets LLVM choose for the processor at hand, which may exceed XLA's 256 bits: with 512
# on a Zen 5, loops took 0.7 to 1 of the time, and LLVM 0.85 to 1.
GENERATION: dict[str, Any] = {
    "xla_backend_optimization_level": 2,
    "xla_cpu_prefer_vector_width": 0,
}
# A native function has no code for operations that XLA divides among threads, as it does in loops
# before jaxlib 0.11; it failed after the compile, with a line on stderr. Nor has it any for calls
# of an external library for sums and products.
UNDIVIDED: dict[str, Any] = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
NATIVE_OPTIONS: dict[str, Any] = GENERATION | UNDIVIDED | WITHOUT_LIBRARY
# LLVM's level 0 compiles in a third of the time, and XLA's preset in three quarters of that; the
# program takes about five times as long: 10 ms more for 10^7 numbers.
FAST_COMPILE: dict[str, Any] = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE",
}
FAST_COMPILE_OPTIONS: dict[str, Any] = NATIVE_OPTIONS | FAST_COMPILE


def choose_native_options(is_fast: bool) -> dict[str, Any]:
    """Return XLA's options for the native form of a program, with the fastest compile or not."""
    return FAST_COMPILE_OPTIONS if is_fast else NATIVE_OPTIONS


def compile_natively(
    lowered: jax.stages.Lowered, is_fast: bool, described: str | None = None
) -> Executable:
    """Compile a program that was marked, and drop what only keeps its arguments alive.

    Args:
        lowered: The program.
        is_fast: Whether the compile is to be fast, rather than the program.
        described: Says what is compiled; see `compile_or_load`.

    Raises:
        jax.errors.JaxRuntimeError: It has no native form.
    """
    made = _compile_with_known(lowered, choose_native_options(is_fast), described)
    return made._replace(call=lambda *arguments: made.call(*arguments)[0])


def _compile_with_known(
    lowered: jax.stages.Lowered, options: dict[str, Any], described: str | None
) -> Executable:
    """Compile with the options that this version of XLA knows."""
    try:
        return compile_or_load(lowered, options, described)
    except jax.errors.JaxRuntimeError as error:
        unknown = re.search(r"No such compile option: '(\w+)'", str(error))
        known = {n: value for n, value in options.items() if unknown and n != unknown[1]}
        if len(known) + 1 != len(options):
            raise
    # What it is found by says with which options it was compiled.
    return _compile_with_known(lowered, known, None)


def mark_as_native(program: jax.stages.Traced) -> jax.stages.Wrapped:
    """Return a function that calls a program with a mark: XLA compiles its loop as a whole.

    Otherwise XLA's CPU runtime dispatches each small kernel of a loop body separately, which
    costs more than the kernels of a small model themselves.
    """
    function = rewrite_as_loops(program)

    # jaxlib 0.10 aborts the process if XLA finds an argument of such a call unused. Therefore one
    # number computed from all of them is returned, and dropped by the caller: if dropped here, JAX
    # would remove it.
    def keep_alive(*arguments: Any) -> Any:
        return function(*arguments), _touch(jax.tree.leaves(arguments))

    inner = jax.jit(keep_alive)

    def call_marked(*arguments: Any) -> Any:
        with set_xla_metadata(xla_cpu_small_call="true", inlineable="false"):
            return inner(*arguments)

    return jax.jit(call_marked)


def _touch(leaves: list[Array]) -> Any:
    """Return one number that depends on all arrays but empty ones; several cost more to compile."""
    first = [_read_data(leaf).reshape(-1)[:1] != 0 for leaf in leaves if leaf.size]
    return reduce(operator.or_, first) if first else ()


def _read_data(leaf: Array) -> Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf
