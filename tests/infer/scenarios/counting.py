"""Count the primitives of a jaxpr, including those of inner programs."""

from collections import Counter
from collections.abc import Iterator

import jax


def primitives(function, *arguments) -> Counter:
    """Count the primitives in the jaxpr of a function."""
    return Counter(_names(jax.make_jaxpr(function)(*arguments).jaxpr))


def _names(jaxpr) -> Iterator[str]:
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        sequences = [p for p in equation.params.values() if isinstance(p, list | tuple)]
        for inner in [*equation.params.values(), *(part for parts in sequences for part in parts)]:
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _names(inner)
