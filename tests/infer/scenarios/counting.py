"""What a program is made of: the primitives of a jaxpr, those of inner programs too."""

from collections import Counter
from collections.abc import Iterator

import jax


def primitives(function, *arguments) -> Counter:
    """Count the primitives that JAX traces of a function."""
    return Counter(_named(jax.make_jaxpr(function)(*arguments).jaxpr))


def _named(jaxpr) -> Iterator[str]:
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        held = [p for p in equation.params.values() if isinstance(p, list | tuple)]
        for inner in [*equation.params.values(), *(part for parts in held for part in parts)]:
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _named(inner)
