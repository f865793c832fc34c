"""Trace a function at every call, and compile it only if the text of its program is new."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jax

from .kernels import compile_as_kernels

# Number of programs to keep, of functions written by users; `native` keeps those of the library.
KEPT = 32
_kept: OrderedDict[bytes, Any] = OrderedDict()


def compile_by_text(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Return a function compiled for arguments of these shapes.

    It is traced now, so it uses the current values of what it closes over. Programs are compared by
    their text, so a function that is defined again with the same code compiles nothing.

    Args:
        function: A function from pytrees of arrays to a pytree of arrays.
        arguments: Example arguments; only shapes and dtypes matter.
    """
    leaves, structure = jax.tree.flatten(arguments)
    returned = []

    def flat(*leaves: Any) -> list[Any]:
        results, form = jax.tree.flatten(function(*jax.tree.unflatten(structure, leaves)))
        returned.append(form)
        return results

    # Unused arguments are kept, so that programs that use different ones have different texts.
    lowered = jax.jit(flat, keep_unused=True).lower(*leaves)
    made = _compile_if_new(lowered)
    return lambda *arguments: jax.tree.unflatten(returned[-1], made(*jax.tree.leaves(arguments)))


def _compile_if_new(lowered: jax.stages.Lowered) -> Any:
    # With this option of JAX, the text omits the arrays that a function closes over.
    if getattr(jax.config, "jax_use_simplified_jaxpr_constants", True):
        return compile_as_kernels(lowered).call
    text = sha256(lowered.as_text().encode()).digest()
    made = _kept[text] if text in _kept else compile_as_kernels(lowered).call
    _kept[text] = made
    _kept.move_to_end(text)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return made
