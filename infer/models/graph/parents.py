"""Find which quantities of a model each one is computed from directly, from its traced program."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jax.extend.core import Literal
from jaxtyping import Array

from ...equations import find_sources
from ..inputs.data import name_arguments
from ..origins import translate_errors_of
from ..priors.prior import Prior
from ..protocol.runnable import Runnable
from ..readers import KnownValues

# Suffix of the names of arguments that are called as a site is, of which they are not the data.
DATA = " (data)"


class Relations(NamedTuple):
    """What the quantities of a model are computed from.

    Attributes:
        parents: For each site, derived value and factor, the names of those that it is computed
            from directly: sites, derived values and arguments of the model.
        factors: Names of the terms of the log density that are no prior, in order.
    """

    parents: dict[str, tuple[str, ...]]
    factors: list[str]


def find_relations(model: Runnable, outlines: Mapping[str, jax.ShapeDtypeStruct]) -> Relations:
    """Find what every term, derived value and set of a model is computed from.

    The model runs abstractly with the values of all its sites as arguments, also of those that are
    summed out or observed. So what a term is computed from are arguments and not, in turn, what
    those were computed from. Derived values, and what changes hold sites at, count as sources
    wherever they are used.

    Args:
        model: The model.
        outlines: Shape and type of the value of each site that is latent, summed out or observed.
    """
    factors: list[str] = []
    observed: set[str] = set()

    def run(model: Any, values: dict[str, Array]) -> tuple[dict[str, Any], ...]:
        account = model.run(_GivenValues(values))
        factors[:] = [term.name for term in account.terms if term.role != "prior"]
        observed.update(account.observed)
        held = {n: value for change in model.changes for n, value in change.held().items()}
        terms = {term.name: term.rows for term in account.terms}
        sets = {d.name: eqx.filter(d.constraint, eqx.is_array_like) for d in account.declarations}
        return held, account.derived, terms, sets

    with translate_errors_of(model):
        traced, shapes = jax.make_jaxpr(run, return_shape=True)(model, dict(outlines))
    jaxpr = traced.jaxpr
    # Like arguments and results, the parts of dictionaries are in the order of their names.
    held, derived, *_ = jax.tree.unflatten(jax.tree.structure(shapes), jaxpr.outvars)
    others = {*outlines, *held, *derived} - observed
    data = [f"{n}{DATA}" if n in others else n for n in name_arguments(model)]
    names = [*data, *sorted(outlines)]
    bits = {n: 1 << i for i, n in enumerate(dict.fromkeys([*filter(None, names), *held, *derived]))}
    values = jaxpr.invars[len(jaxpr.invars) - len(outlines) :]
    marks = _mark({**held, **derived}, bits, set(values))
    found = find_sources(traced, [0 if n is None else bits[n] for n in names], marks)
    _, derived, terms, sets = jax.tree.unflatten(jax.tree.structure(shapes), found)
    sources = {n: s for n, s in (*derived.items(), *terms.items())}
    for name, own in sets.items():
        for source in jax.tree.leaves(own):
            sources[name] = sources.get(name, 0) | source
    parents = {
        name: tuple(other for other, bit in bits.items() if source & bit and other != name)
        for name, source in sources.items()
    }
    return Relations(parents, factors)


class _GivenValues(KnownValues):
    """Supplies the values of observations, too."""

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        return self._values.get(name, value)


def _mark(
    variables: Mapping[str, Any], bits: Mapping[str, int], values: set[Any]
) -> dict[Any, int]:
    """Mark the variables of named values; one that is a latent value has its name already."""
    marks: dict[Any, int] = {}
    for name, variable in variables.items():
        if not isinstance(variable, Literal) and variable not in values:
            marks.setdefault(variable, bits[name])
    return marks
