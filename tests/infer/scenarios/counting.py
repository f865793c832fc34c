"""What a program is made of: the primitives of a jaxpr, those of inner programs too."""

from collections import Counter

import jax

from bijectors.jaxprs import equations_in


def primitives(function, *arguments) -> Counter:
    """Count the primitives that JAX traces of a function."""
    program = jax.make_jaxpr(function)(*arguments)
    return Counter(equation.primitive.name for equation in equations_in(program))
