"""What may be declared: names that are unique, in code that JAX does not transform."""

from collections.abc import Collection
from typing import Any

from jax.extend.core import get_opaque_trace_state

from ....errors import ModelError
from ...inputs.names import refuse_unnamed


def join_name(prefix: str, name: str) -> str:
    """Join a name to the prefix of its scope; refuse what is no name."""
    refuse_unnamed(name)
    return prefix + name


def refuse_taken(name: str, taken: Collection[str], dims: Collection[str]) -> None:
    """Raise if another quantity or a dimension has a name."""
    is_dim = name in dims
    if is_dim or name in taken:
        raise ModelError(
            name,
            "a dimension has this name" if is_dim else "the name is declared twice",
            "Give every site its own name; site.scope(prefix) gives copies different names.",
        )


def refuse_transformed(name: str, trace: Any) -> None:
    """Raise if a site is declared under another trace than that of its model."""
    if get_opaque_trace_state() != trace:
        raise ModelError(
            name,
            "it is declared inside a function that JAX transforms, such as one given to "
            "lax.cond, lax.scan, vmap or jit",
            "Use site.cond and site.switch in place of lax.cond and lax.switch, site.scan in place "
            "of lax.scan and fori_loop, and site.plate or site.vmap in place of vmap. For other "
            "functions, such as a while_loop, declare it outside and use its value inside.",
        )
