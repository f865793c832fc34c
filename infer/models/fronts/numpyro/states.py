"""Scans of NumPyro whose steps declare a discrete site that is summed out."""

from collections.abc import Callable
from typing import Any

import jax
from numpyro.ops.pytree import PytreeTrace

from ....errors import ModelError
from .scan import Message

# One step: from the carry and a row to the next carry and an output.
Step = Callable[[Any, Any], tuple[Any, Any]]


def run_with_states(
    flow: Message, run: Callable[[Step, Any, Any, int, bool], tuple[Any, Any]]
) -> Any:
    """Run a scan step by step; return what NumPyro expects of a control flow.

    Raises:
        ModelError: Handlers around the scan give values to its sites.
    """
    step, carry, xs, length, reverse = flow["args"]
    if flow["kwargs"]["substitute_stack"]:
        raise ModelError(
            "scan",
            "a site in it is summed out step by step, and numpyro.handlers.condition or substitute "
            "around the scan gives values to its sites",
            "Pass what was observed as obs= of the site in the step.",
        )
    steps = jax.tree.leaves(xs)[0].shape[0] if length is None else length
    last, outputs = run(step, carry, xs, steps, reverse)
    return (steps, None, last), (PytreeTrace({}), outputs)
