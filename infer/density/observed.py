"""Find observed values among the data of a model, without a program."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import Literal

from ..models.abstract import run_abstractly
from ..models.inputs.sharded import is_over_processes
from .base import LogDensity
from .family import Family


def find_observed(density: LogDensity) -> dict[str, np.ndarray] | None:
    """Return the observed data by name if the model observes them as they were given.

    Returns:
        Copies on the host, sorted by name; None if one must be computed.
    """
    found = _find(density, jax.tree.leaves(density.model))
    if found is None:
        return None
    return {name: np.array(a, dtype) for name, (a, dtype) in found.items()}


def find_observed_each(family: Family) -> dict[str, np.ndarray] | None:
    """Return what `find_observed` returns for each member, along a leading axis."""
    found = _find(family.member(0), family.leaves())
    if found is None:
        return None
    return {name: _stack(family.count, a, dtype) for name, (a, dtype) in found.items()}


def _find(density: LogDensity, leaves: Sequence[Any]) -> dict[str, tuple[Any, Any]] | None:
    """Find which leaf, or which constant of the program, is each site's data; and their dtype."""
    if density.seen:
        return None
    if any(is_over_processes(leaf) for leaf in jax.tree.leaves(density.model)):
        # No process has all rows.
        return {}
    program = run_abstractly(density.model).program
    known = dict(zip(program.jaxpr.invars, leaves, strict=True))
    known |= dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    names = sorted(site.name for site in density.sites if site.role == "observed")
    # The last results of the abstract run; JAX sorts dictionaries.
    results = program.jaxpr.outvars[len(program.jaxpr.outvars) - len(names) :]
    if any(isinstance(result, Literal) or result not in known for result in results):
        return None
    return {name: (known[r], r.aval.dtype) for name, r in zip(names, results, strict=True)}


def _stack(count: int, given: Any, dtype: Any) -> np.ndarray:
    """Stack the arrays of all members, of a pair of `Family.leaves` or of a program's constant."""
    shared, own = given if isinstance(given, tuple) else (given, None)
    stack = np.asarray(shared)[None] if own is None else own
    return np.array(np.broadcast_to(stack, (count, *stack.shape[1:])), dtype)
