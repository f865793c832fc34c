"""A part of a compiled program as one native function, whatever the form of the program."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jax
from jax.experimental.xla_metadata import set_xla_metadata

AS_ONE_FUNCTION = {"xla_cpu_small_call": "true", "inlineable": "false"}


def call_natively(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function so that XLA compiles it once, on a CPU as one native function; traced.

    Args:
        function: Of many operations on few numbers, none of which calls a library.
        arguments: Pytrees of arrays.
    """
    is_cpu = jax.default_backend() == "cpu"
    with set_xla_metadata(**AS_ONE_FUNCTION) if is_cpu else nullcontext():
        return jax.jit(function)(*arguments)
