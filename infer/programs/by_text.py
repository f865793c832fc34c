"""Trace a function at every call, and compile it only if its program is a new one."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jax

# Programs of functions that users write: those of the library are kept in `native`.
KEPT = 32
_kept: OrderedDict[bytes, Any] = OrderedDict()


def compile_by_text(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Return a function compiled for arguments of these shapes.

    It is traced here and now, so what it closes over is what holds now. The text of the program
    settles whether it was compiled before, so a function written again compiles nothing.

    Args:
        function: Takes and returns pytrees of arrays.
        arguments: Only shapes and types matter.
    """
    leaves, structure = jax.tree.flatten(arguments)
    returned = []

    def flat(*leaves: Any) -> list[Any]:
        results, form = jax.tree.flatten(function(*jax.tree.unflatten(structure, leaves)))
        returned.append(form)
        return results

    # An argument that is not used is kept: the text has to tell which is which.
    lowered = jax.jit(flat, keep_unused=True).lower(*leaves)
    made = _compiled(lowered)
    return lambda *arguments: jax.tree.unflatten(returned[-1], made(*jax.tree.leaves(arguments)))


def _compiled(lowered: jax.stages.Lowered) -> Any:
    # With this switch of JAX, the text leaves out the arrays that a function closes over.
    if getattr(jax.config, "jax_use_simplified_jaxpr_constants", True):
        return lowered.compile()
    text = sha256(lowered.as_text().encode()).digest()
    made = _kept[text] if text in _kept else lowered.compile()
    _kept[text] = made
    _kept.move_to_end(text)
    if len(_kept) > KEPT:
        _kept.popitem(last=False)
    return made
