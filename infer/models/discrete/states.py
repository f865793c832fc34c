"""Sum the states of a scan out, and enter what is left in the account of the model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ...errors import ModelError
from ..protocol.account import Account
from ..protocol.reader import DelegatingReader, Reader
from ..protocol.site import Declaration, Part, Term
from .chain import Chain, Step, refuse_several, sum_chain
from .sum_out import refuse_partial
from .support import Finite


class Scanned(NamedTuple):
    """A scan whose steps declare a discrete site.

    Attributes:
        run: Runs one step, given the carry, its row of the arrays, and values of discrete sites.
        carry: Carry of the first step.
        xs: Arrays whose rows the steps are given.
        length: Number of steps.
        reverse: Whether to start with the last row.
        dim: Name of the axis of steps.
    """

    run: Callable[[Any, Any, Mapping[str, Array]], Step]
    carry: Any
    xs: Any
    length: int
    reverse: bool
    dim: str | None


def sum_states(
    scanned: Scanned, last: Any, outputs: Any, inner: Account, account: Account, reader: Reader
) -> tuple[Any, Any]:
    """Sum the states out of the terms of the steps, and enter one term for the sum.

    Args:
        scanned: The scan.
        last: Its last carry, for first values of the states.
        outputs: What its steps return, likewise.
        inner: The account of a step; what depends on a state is taken out of it.
        account: The account of the model.
        reader: The reader of the model.

    Returns:
        The last carry and the outputs. What depends on a state must not be used.

    Raises:
        ModelError: See `sum_chain`; or a step declares several discrete sites.
    """
    refuse_several(inner.summed)
    ((name, site),) = inner.summed.items()
    run = lambda carry, x, state: scanned.run(carry, x, {name: state})  # noqa: E731
    as_last = lambda first, a: jnp.asarray(first, jnp.result_type(a))  # noqa: E731
    carry = jax.tree.map(as_last, scanned.carry, last)
    summed = sum_chain(run, carry, scanned.xs, scanned.length, scanned.reverse, site)
    (moved_outputs, moved_derived), moved = summed.depends.others, summed.depends.terms
    _enter_sum(summed.rows, name, [t for t in inner.terms if moved[t.name]], account)
    inner.terms = [term for term in inner.terms if not moved[term.name]]
    for derived in (n for n, moves in moved_derived.items() if moves):
        del inner.derived[derived]
        del inner.dims[derived]
    chain = _make_chain(site, scanned)
    account.summed[name] = chain
    account.draws.append(lambda key: {name: summed.draw(key)})
    marker = reader.discrete(chain.declaration)
    return (
        _mark(last, summed.depends.carry, marker),
        _mark(outputs, moved_outputs, marker),
    )


def _make_chain(site: Finite, scanned: Scanned) -> Chain:
    own = site.declaration
    shape, dims = (scanned.length, *own.shape), (scanned.dim, *own.dims)
    return Chain(replace(own, shape=shape, dims=dims), site.dtype)


def _enter_sum(rows: Array, name: str, terms: Sequence[Term], account: Account) -> None:
    """Enter the sum as a term, named after the one term beside the states' prior if it can be."""
    for term in terms:
        refuse_partial(term, [name])
        if not term.has_value:
            raise ModelError(
                term.name,
                f"its log density depends on {name!r}, and is known by its score alone",
                "Give it a distribution with a log density.",
            )
    others = [term.name for term in terms if term.name != name]
    # If masks leave no term, the sum is that of the prior alone.
    present = {"prior", *(term.role for term in terms)}
    ranked: tuple[Part, ...] = ("likelihood", "factor", "prior")
    role: Part = next(role for role in ranked if role in present)
    account.terms.append(Term(others[0] if len(others) == 1 else name, role, rows))


def _mark(value: Any, depends: Any, marker: Array | None) -> Any:
    """Make the numbers that depend on a state depend on a marker, to find what uses them."""
    if marker is None:
        return value
    flags = jax.tree.leaves(depends)
    leaves, structure = jax.tree.flatten(value)
    marked = [
        a + marker.astype(jnp.result_type(a)) if moves else a
        for a, moves in zip(leaves, flags, strict=True)
    ]
    return jax.tree.unflatten(structure, marked)


class StateReader(DelegatingReader):
    """Supplies the discrete values of one step."""

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        super().__init__(reader)
        self._values = values

    def discrete(self, declaration: Declaration) -> Array | None:
        return self._values[declaration.name]
