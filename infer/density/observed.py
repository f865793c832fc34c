"""Find observed values among the data of a model, without a program."""

import jax
import numpy as np
from jax.extend.core import Literal

from ..models.abstract import run_abstractly
from .base import LogDensity


def find_observed(density: LogDensity) -> dict[str, np.ndarray] | None:
    """Return the observed data by name if the model observes them as they were given.

    Returns:
        Copies on the host, sorted by name; None if one must be computed.
    """
    if density.seen:
        return None
    program = run_abstractly(density.model).program
    known = dict(zip(program.jaxpr.invars, jax.tree.leaves(density.model), strict=True))
    known |= dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    names = sorted(site.name for site in density.sites if site.role == "observed")
    # The last results of the abstract run; JAX sorts dictionaries.
    results = program.jaxpr.outvars[len(program.jaxpr.outvars) - len(names) :]
    if any(isinstance(result, Literal) or result not in known for result in results):
        return None
    pairs = zip(names, results, strict=True)
    return {name: np.array(known[r], r.aval.dtype) for name, r in pairs}
