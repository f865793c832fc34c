"""Refuse, inside a function that JAX transforms, calls that compile and run programs themselves."""

from typing import Any

import jax
from jax.core import Tracer

from .errors import ExplainedError


def refuse_traced(error: type[ExplainedError], where: str, given: Any) -> None:
    """Raise if an array in what a call is given is traced.

    Args:
        error: The type of the error.
        where: What to call it in the error.
        given: A model, or any other pytree.
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(given)):
        raise error(
            where,
            "it is traced: the call is inside a function that jax.vmap, jax.jit, jax.grad or a "
            "like function transforms, but it has to read numbers, since it compiles programs of "
            "its own",
            "Call it outside. For many data sets or values, give a list of models, as in "
            "infer.sample([model.with_data(y=y) for y in data]): one program serves them all.",
        )
