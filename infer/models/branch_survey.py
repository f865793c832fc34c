"""What the branches of a model declare, and refusals where they declare it differently."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from bijectors.base import Bijector, Image
from bijectors.rule import Rules

from ..errors import ModelError
from .inputs.precision import as_array
from .priors.prior import Prior
from .protocol.account import Account
from .protocol.reader import DelegatingReader, Reader
from .protocol.site import Declaration
from .protocol.steps import Repeated, Steps
from .protocol.surveyor import ObservationSurveyor, Surveyor
from .scan import broadcast_bounds

# Runs one branch against a reader, enters what it declares in the account, returns its output.
Branch = Callable[[Reader, Account], Any]


class Found(NamedTuple):
    """A site of one branch.

    Attributes:
        declaration: What it declares, if it is latent.
        prior: Its distribution, if it has one.
        value: What was observed, if anything.
    """

    declaration: Declaration | None
    prior: Prior | None
    value: Array | None = None


class BranchSurvey(NamedTuple):
    """What an abstract run of one branch found: its sites in order, its account, its output."""

    sites: dict[str, Found]
    account: Account
    output: Any


class _Recorder(DelegatingReader):
    """Records the sites of a branch in the order in which it declares them."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        self.sites: dict[str, Found] = {}

    def take(self, declaration: Declaration) -> Image:
        self.sites[declaration.name] = Found(declaration, declaration.prior)
        return self.reader.take(declaration)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        self.sites[name] = Found(None, prior, value)
        return self.reader.observe(name, prior, value)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        raise ModelError(
            "scan",
            "it is inside a branch",
            "Put the branches into its step: a step may call site.cond.",
        )


def survey_branch(
    branch: Branch, rules: Rules, reserved: frozenset[str], where: str
) -> BranchSurvey:
    """Find what a branch declares, by running it abstractly."""
    surveyor, account = Surveyor(rules), Account(reserved=reserved)
    recorder = _Recorder(ObservationSurveyor(surveyor))
    output = jax.eval_shape(lambda: _read_output(where, branch(recorder, account)))
    for name in account.summed:
        raise ModelError(
            name,
            "it is a discrete site that is summed out, inside a branch",
            "Declare it before the branches; to sum over the branches themselves, use a mixture.",
        )
    for name in surveyor.minibatches:
        raise ModelError(
            name,
            "a plate inside a branch has a minibatch",
            "Use all rows in every step: minibatch=None.",
        )
    for name in account.divided:
        raise ModelError(
            name,
            "a plate inside a branch has shard=True",
            "Open the plate before, and declare the branches inside it.",
        )
    return BranchSurvey(recorder.sites, account, output)


def _read_output(where: str, output: Any) -> Any:
    """Return the output of a branch as arrays."""
    return jax.tree.map(lambda leaf: as_array(where, leaf, "what a branch returns"), output)


def join_sites(surveys: Sequence[BranchSurvey]) -> dict[str, list[Found]]:
    """List the sites of all branches, in an order that is that of each.

    Raises:
        ModelError: They declare a site differently, or two sites in different orders.
    """
    order = _merge_orders([list(own.sites) for own in surveys])
    sites = {n: [own.sites[n] for own in surveys if n in own.sites] for n in order}
    for name, found in sites.items():
        _refuse_unequal(name, found)
    return sites


def _merge_orders(orders: Sequence[Sequence[str]]) -> list[str]:
    """Merge the orders of all branches into one."""
    left, merged = [list(order) for order in orders], []
    while left := [order for order in left if order]:
        later = {name for order in left for name in order[1:]}
        heads = [order[0] for order in left]
        name = next((head for head in heads if head not in later), None)
        if name is None:
            raise ModelError(
                heads[0],
                f"two branches declare it and {heads[1]!r} in different orders",
                "Declare the sites that branches share in the same order in each.",
            )
        merged.append(name)
        left = [[other for other in order if other != name] for order in left]
    return merged


def partition_map(found: Found) -> tuple[Any, Any]:
    """Partition the set and the map of a latent site into arrays and the rest."""
    d = found.declaration
    assert d is not None
    return eqx.partition((broadcast_bounds(d), d.bijector), eqx.is_array_like)


def are_known_and_equal(declarations: Sequence[Declaration | None]) -> bool:
    """Return whether all sets and maps hold the same numbers, known before the program runs."""
    first, *rest = [jax.tree.leaves((d.constraint, d.bijector)) for d in declarations if d]
    if any(isinstance(leaf, Tracer) for own in (first, *rest) for leaf in own):
        return False
    pairs = [pair for own in rest for pair in zip(first, own, strict=True)]
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


def join_dtypes(*arrays: Any) -> Any:
    """Return the type to which the arrays of all branches are cast."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*arrays)


def _refuse_unequal(name: str, found: Sequence[Found]) -> None:
    """Raise if the branches declare a site differently."""
    first, *rest = [_describe(own) for own in found]
    for own in rest:
        for what, one in first.items():
            if own.get(what, one) != one:
                raise ModelError(
                    name,
                    f"its {what} is {one} in one branch, and {own[what]} in another",
                    "Let all branches declare it alike, or give the sites two names.",
                )


def _describe(found: Found) -> dict[str, Any]:
    """List what all branches that declare a site must agree on."""
    d, prior, value = found
    if d is None:
        assert prior is not None
        given = "None" if value is None else f"of shape {value.shape} and type {value.dtype}"
        shape = (*prior.batch_shape, *prior.event_shape)
        return {"role": "observed", "shape": shape, "observed value": given}
    arrays, rest = partition_map(found)
    shapes = jax.tree.map(jnp.shape, arrays)
    return {
        "role": "latent",
        "shape": d.shape,
        "dims": d.dims,
        "set": type(d.constraint).__name__,
        "map": _name_map(d.bijector),
        "set or map": (repr(shapes), repr(rest)),
        "prior": "flat" if prior is None else "a distribution",
    }


def _name_map(bijector: Bijector | str | None) -> str:
    if bijector is None or isinstance(bijector, str):
        return bijector or "the default"
    return type(bijector).__name__


def refuse_missing(name: str, is_in_all: bool, what: str, mend: str) -> None:
    """Raise if some branches do not declare what all of them must declare."""
    if not is_in_all:
        raise ModelError(name, f"it is {what}, and some branches do not declare it", mend)


def refuse_uncallable(where: str, branches: Any) -> None:
    """Raise if there is no branch, or one is no function."""
    is_list = isinstance(branches, Sequence) and not isinstance(branches, str)
    wrong = [own for own in branches if not callable(own)] if is_list else [branches]
    if wrong or not branches:
        found = f"a {type(wrong[0]).__name__}" if wrong else "no branch"
        raise ModelError(
            where,
            f"{found} is given for its branches",
            "Give functions, each called as branch(site, *operands).",
        )


def refuse_outputs(outputs: Sequence[Any], where: str) -> None:
    """Raise if the branches return different trees of arrays."""
    first, *rest = [jax.tree.map(lambda a: (a.shape, str(a.dtype)), own) for own in outputs]
    for own in rest:
        if own != first:
            raise ModelError(
                where,
                f"its branches return {first} and {own}",
                "Return arrays of the same shapes and types from all of them, as for jax.lax.cond.",
            )


def refuse_other_shape(name: str, what: str, own: Array, first: Array) -> None:
    """Raise if an array has another shape than in an earlier branch."""
    if own.shape != first.shape:
        raise ModelError(
            name,
            f"its {what} has shape {first.shape} in one branch, and {own.shape} in another",
            "Let it have the same shape in all branches.",
        )
