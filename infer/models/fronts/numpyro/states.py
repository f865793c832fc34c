"""Scans of NumPyro whose steps declare a discrete site that is summed out."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
from numpyro.ops.pytree import PytreeTrace

from ....errors import ModelError
from ...protocol.account import Account
from ...protocol.site import Dims
from .axes import fill_names
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


def name_series(
    account: Account, before: Collection[str], given: Mapping[str, Dims]
) -> Iterator[tuple[str, str | None, int]]:
    """Name the axes of what a scan declared as the user asked, its axis of steps included.

    Args:
        account: The account, with the sites of the scan.
        before: Sites that were declared before.
        given: The user's names for all axes, or for those that have none, by site.

    Yields:
        Each site, with the name and the size of each of its axes.
    """
    values = account.observed | account.derived
    shapes = {name: jnp.shape(value) for name, value in values.items()}
    shapes |= {name: jnp.shape(image.value) for name, image in account.images.items()}
    shapes |= {name: own.shape for name, own in account.summed.items()}
    for name in [name for name in account.dims if name not in before]:
        named = [*account.dims[name]]
        named = fill_names(name, named, given.get(name, ()), shapes[name])
        account.dims[name] = tuple(named)
        yield from ((name, dim, size) for dim, size in zip(named, shapes[name], strict=True))
    renamed = [replace(d, dims=account.dims[d.name]) for d in account.declarations]
    account.declarations[:] = renamed
    for name, own in account.summed.items():
        declaration = replace(own.declaration, dims=account.dims[name])
        account.summed[name] = replace(own, declaration=declaration)
