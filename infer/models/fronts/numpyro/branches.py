"""The branches of a cond of NumPyro."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from jaxtyping import Array
from numpyro.handlers import seed
from numpyro.ops.pytree import PytreeTrace

from ...branches import read_predicate
from .scan import Message


def run_branches(
    flow: Message, run: Callable[[Array, Sequence[Callable[[], Any]]], Any]
) -> tuple[Any, PytreeTrace]:
    """Run one of two branches; return what NumPyro expects of a control flow.

    The handlers around it act on the sites inside as on all others. `seed` would keep a key that
    it has split inside the branch, so a branch has a key of its own, as in NumPyro.

    Raises:
        ModelError: The predicate is not one number, or the branches do not fit.
    """
    predicate, *branches, operand = flow["args"]
    key = flow["kwargs"]["rng_key"]
    seeded = [branch if key is None else seed(branch, key) for branch in branches]
    runs = [partial(branch, operand) for branch in seeded]
    return run(read_predicate(predicate), runs), PytreeTrace({})
