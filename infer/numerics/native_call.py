"""A part of a compiled program as one native function, whatever the form of the program."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata

AS_ONE_FUNCTION: dict[str, Any] = {"xla_cpu_small_call": "true", "inlineable": "false"}
# Calls inside of it are inlined: what is left as a call, such as `jnp.where` in a loop, is compiled
# apart, and takes some ten times as long.
INLINED: dict[str, Any] = dict.fromkeys(AS_ONE_FUNCTION)


def call_natively(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function so that XLA compiles it once, on a CPU as one native function; traced.

    Args:
        function: Many operations on few numbers, without calls of libraries. Its loops must hold no
            large arrays: XLA before jaxlib 0.11 divides these among threads, which fails in a
            program of the ordinary form. Do not call it under `vmap` if it indexes by a counter.
        arguments: Pytrees of arrays.
    """

    def call(*own: Any) -> Any:
        with set_xla_metadata(**INLINED):
            return function(*own)

    is_cpu = jax.default_backend() == "cpu"
    with set_xla_metadata(**AS_ONE_FUNCTION) if is_cpu else nullcontext():
        return jax.jit(call)(*arguments)
