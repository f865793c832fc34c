"""Sites inside a scan: what the steps declare under one name becomes one site of the model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Constraint, Image
from bijectors.rule import Rules

from ..counts import Count, as_whole
from ..errors import ModelError
from .discrete.chain import Step
from .discrete.states import Scanned, StateReader, sum_states
from .inputs.foreign import refuse_foreign
from .inputs.names import is_name
from .inputs.units import refuse_units_inside
from .protocol.account import Account
from .protocol.reader import Reader
from .protocol.site import Declaration
from .protocol.steps import Repeated
from .protocol.surveyor import ObservationSurveyor, Surveyor

# Makes the `site` of one step from a reader and an account.
MakeSite = Callable[[Reader, Account], Any]


class Axis(NamedTuple):
    """The steps of a scan, or the rows of `site.vmap`.

    Attributes:
        length: Their number.
        dim: Name of their axis.
        at_once: Whether they are rows, which run all at once.
    """

    length: int
    dim: str | None
    at_once: bool = False

    @property
    def where(self) -> str:
        """What errors call the call."""
        return "site.vmap" if self.at_once else "scan"


class _Step(NamedTuple):
    """The arrays in the account of one step, by name."""

    values: dict[str, Array]
    constraints: dict[str, Constraint]
    derived: dict[str, Array]
    observed: dict[str, Array]
    rows: dict[str, Array]


def scan(
    step: Callable[..., Any], arguments: tuple[Any, Any], axis: Axis, reverse: bool,
    make_site: MakeSite, reader: Reader, account: Account, rules: Rules,
) -> tuple[Any, Any]:  # fmt: skip
    """Run the steps by `jax.lax.scan`, or rows by `jax.vmap`; see `Sites.scan` and `Sites.vmap`."""
    (carry, xs), length = arguments, axis.length
    repeated, reserved = _survey_step(step, carry, xs, axis.where, make_site, account, rules)
    steps = reader.steps(repeated, length, reverse)
    found: list[tuple[Account, dict[str, Constraint]]] = []

    def run(carry: Any, given: tuple[Any, Any], state: Mapping[str, Array]) -> tuple[Any, ...]:
        inner, own = Account(reserved=reserved), steps.reader(given[0])
        site = make_site(StateReader(own, state) if state else own, inner)
        carry, output = step(site, carry, given[1])
        arrays, rest = _partition_account(inner)
        found.append((inner, rest))
        return carry, output, steps.report(own), arrays

    def body(carry: Any, given: tuple[Any, Any]) -> tuple[Any, Any]:
        carry, *rest = run(carry, given, {})
        return carry, tuple(rest)

    if axis.at_once:
        last, rest = carry, _run_rows(lambda given: body(carry, given)[1], (steps.xs, xs), length)
    else:
        last, rest = jax.lax.scan(body, carry, (steps.xs, xs), length, reverse)
    outputs, reports, arrays = rest
    inner, sets = found[-1]
    if inner.summed:

        def run_state(carry: Any, given: tuple[Any, Any], state: Mapping[str, Array]) -> Step:
            carry, output, report, own = run(carry, given, state)
            named = [(own.values[n], own.constraints[n]) for n in own.values if n not in state]
            sites = (named, report)
            return Step(carry, own.rows, sites, (output, own.derived))

        scanned = Scanned(run_state, carry, (steps.xs, xs), length, reverse, axis.dim)
        last, outputs = sum_states(scanned, last, outputs, inner, account, reader)
    whole = _enter(account, inner, arrays, sets, axis)
    steps.close(reports, whole)
    return last, outputs


def _run_rows(run: Callable[[Any], Any], rows: Any, length: int) -> Any:
    try:
        return jax.vmap(run, axis_size=length)(rows)
    except NotImplementedError as error:
        raise ModelError(
            "site.vmap",
            f"its function cannot run for all rows at once: {error}",
            "Run it row by row: site.scan(lambda site, _, row: (None, function(site, row)), "
            "None, xs).",
        ) from error


def _survey_step(
    step: Callable[..., Any],
    carry: Any,
    xs: Any,
    where: str,
    make_site: MakeSite,
    account: Account,
    rules: Rules,
) -> tuple[list[Repeated], frozenset[str]]:
    """Find what one step declares, by running it abstractly."""
    refuse_units_inside(where, (carry, xs))
    for leaf in jax.tree.leaves((carry, xs)):
        refuse_foreign(where, leaf, "a value given to it")
    reserved = frozenset(account.names())
    surveyor, inner = Surveyor(rules), Account(reserved=reserved)
    reader = ObservationSurveyor(surveyor)

    def one(carry: Any, x: Any) -> Any:
        return step(make_site(reader, inner), carry, x)

    # There may be no row.
    rows = jax.tree.map(_outline_row, jax.eval_shape(lambda xs: xs, xs))
    output = jax.eval_shape(one, carry, rows)
    if not isinstance(output, tuple) or len(output) != 2:
        raise ModelError(
            "scan",
            f"its step returns a {type(output).__name__}",
            "Return a pair (carry, output), as for jax.lax.scan; the output may be None.",
        )
    before, after = jax.tree.structure(carry), jax.tree.structure(output[0])
    if before != after:
        raise ModelError(
            "scan",
            f"its first carry has the structure {before}, and its step returns one of {after}",
            "Give a first carry of the structure that the step returns, such as 0.0 for a number.",
        )
    for name in surveyor.minibatches:
        raise ModelError(
            name,
            f"a plate inside a {where} has a minibatch",
            "Use all its rows: minibatch=None.",
        )
    for name in inner.divided:
        mend = f"Divide only data of plates outside of a {where}."
        raise ModelError(name, f"a plate inside a {where} has shard=True", mend)
    repeated = [surveyor.repeated(d) for d in inner.declarations]
    if inner.summed:  # Priors may depend on a state, for each of which a map would differ.
        repeated = [site._replace(learns_centering=False) for site in repeated]
    return repeated, reserved


def _outline_row(rows: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype, weak_type=rows.weak_type)


def _partition_account(account: Account) -> tuple[_Step, dict[str, Constraint]]:
    """Return the arrays of a step's account, which a scan stacks, and the rest of its sets."""
    sets = {
        d.name: eqx.partition(broadcast_bounds(d), eqx.is_array_like) for d in account.declarations
    }
    step = _Step(
        {name: image.value for name, image in account.images.items()},
        {name: arrays for name, (arrays, _) in sets.items()},
        account.derived,
        account.observed,
        {term.name: term.rows for term in account.terms},
    )
    return step, {name: rest for name, (_, rest) in sets.items()}


def broadcast_bounds(declaration: Declaration) -> Constraint:
    """Broadcast the bounds of a set of numbers to the shape of the site, so that they stack."""
    if declaration.constraint.event_ndims:
        return declaration.constraint
    broadcast = lambda a: jnp.broadcast_to(a, declaration.shape) if eqx.is_array_like(a) else a  # noqa: E731
    return jax.tree.map(broadcast, declaration.constraint)


def _enter(
    account: Account,
    inner: Account,
    arrays: _Step,
    rest: dict[str, Constraint],
    axis: Axis,
) -> list[Declaration]:
    """Enter the sites and terms of all steps, with the axis of steps in front of every array."""
    length, dim, _ = axis
    whole = [
        replace(
            d,
            constraint=eqx.combine(arrays.constraints[d.name], rest[d.name]),
            shape=(length, *d.shape),
            dims=(dim, *d.dims),
        )
        for d in inner.declarations
    ]
    account.declarations += whole
    account.images |= {n: Image.of(value) for n, value in arrays.values.items()}
    account.derived |= {name: arrays.derived[name] for name in inner.derived}
    account.observed |= arrays.observed
    account.dims |= {name: (dim, *dims) for name, dims in inner.dims.items()}
    account.terms += [t._replace(rows=arrays.rows[t.name]) for t in inner.terms]
    return whole


def find_axis(
    xs: Any,
    length: Count | None,
    dim: str | None,
    coords: Mapping[str, np.ndarray],
    at_once: bool = False,
) -> Axis:
    """Return the axis of the steps of a scan, or of the rows of `site.vmap`.

    Raises:
        ModelError: The arrays have different first axes, there is neither array nor length, or
            the coords of the dimension have another length.
    """
    length = None if length is None else as_whole("scan", length, 0, error=ModelError)
    if dim is not None and not is_name(dim):
        where = Axis(0, None, at_once).where
        raise ModelError(where, f"dim={dim!r} is no name", 'Name the axis, such as dim="time".')
    axis = Axis(_count_steps(xs, length, at_once), dim, at_once)
    if dim is not None and dim in coords and len(coords[dim]) != axis.length:
        has = "it has {} rows" if at_once else "the scan has {} steps"
        raise ModelError(
            axis.where,
            f"dimension {dim!r} has {len(coords[dim])} coords, but {has.format(axis.length)}",
            "Make the coords as long as the axis they name.",
        )
    return axis


def _count_steps(xs: Any, length: int | None, at_once: bool) -> int:
    leaves, where = jax.tree.leaves(xs), Axis(0, None, at_once).where
    for leaf in leaves:
        if isinstance(leaf, range):
            raise ModelError(where, f"a value given to it is {leaf}", "Give jnp.arange(...).")
    sizes = {jnp.shape(leaf)[:1] for leaf in leaves} | (set() if length is None else {(length,)})
    if () in sizes:
        found = "a value given to it is a number, or a list of numbers"
        raise ModelError(where, found, "Give arrays; of a list, jnp.stack([...]).")
    if len(sizes) != 1:
        found, mend = f"its arrays have first axes {sorted(sizes)}", "Give arrays with the same"
        if at_once:
            raise ModelError("site.vmap", found, f"{mend} first axis, that of the rows.")
        raise ModelError(
            "scan",
            f"{found}, and length is {length}",
            f"{mend} first axis, or length= if there are none.",
        )
    return math.prod(sizes.pop())
