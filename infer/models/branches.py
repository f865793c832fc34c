"""Sites inside branches, of which a predicate or an index chooses one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array

from bijectors.base import Image, Shape
from bijectors.rule import Rules

from ..errors import ModelError
from .branch_survey import (
    Branch,
    BranchSurvey,
    Found,
    are_known_and_equal,
    join_dtypes,
    join_sites,
    partition_map,
    refuse_missing,
    refuse_other_shape,
    refuse_outputs,
    survey_branch,
)
from .inputs.precision import as_array
from .priors.prior import Prior, strip_axes
from .protocol.account import Account
from .protocol.reader import Reader
from .protocol.site import Declaration, Term

# Makes arrays, or a tree of them, of a site that a branch declares.
Ask = Callable[[Found], Any]


def switch(
    index: Array,
    branches: Sequence[Branch],
    reader: Reader,
    account: Account,
    rules: Rules,
    where: str,
) -> Any:
    """Run the branch of an index by `jax.lax.switch`, and enter the sites of all of them.

    The values of the sites are taken before, one after another. A latent site that the branch does
    not declare keeps the prior that it has in the first branch that declares it, so that the
    posterior stays proper and its marginal over all other sites is the same as without it.

    Source: Carlin & Chib (1995), Bayesian model choice via Markov chain Monte Carlo methods.

    Args:
        index: Index of the branch, shape (); it is clipped to the range.
        branches: The branches.
        reader: The reader of the run.
        account: The account of the run.
        rules: The table of maps.
        where: Name of the control flow, for errors.

    Returns:
        The output of the branch.

    Raises:
        ModelError: The branches declare a site differently, or one that they must share is missing.
    """
    reserved = frozenset(account.names())
    surveys = [survey_branch(branch, rules, reserved, where) for branch in branches]
    flow = _Flow(index, branches, surveys, reserved)
    sites = join_sites(surveys)
    refuse_outputs([own.output for own in surveys], where)
    for name, found in sites.items():
        if found[0].declaration is None:
            flow.observe(name, found, reader, account)
        else:
            flow.images[name] = account.take(reader, flow.join(name, found))
    return _finish(flow, account)


def read_predicate(predicate: Any) -> Array:
    """Return the index of the branch of a predicate: the first one if it holds.

    Raises:
        ModelError: It is not one truth value or number.
    """
    return jnp.where(_read_scalar("cond", "predicate", predicate) != 0, 0, 1)


def read_index(index: Any) -> Array:
    """Return an index of a branch as an array.

    Raises:
        ModelError: It is not one whole number.
    """
    array = _read_scalar("switch", "index", index)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ModelError(
            "switch", f"its index is of type {array.dtype}", "Give one whole number, from 0 on."
        )
    return array


def _read_scalar(where: str, what: str, value: Any) -> Array:
    array = as_array(where, value, f"its {what}")
    if array.ndim:
        raise ModelError(
            where,
            f"its {what} has shape {array.shape}, and one branch is taken for the whole model",
            "Give one number. To choose for each row, declare the sites outside and use "
            "jnp.where(condition, a, b), or a mixture of distributions.",
        )
    return array


@dataclass
class _Flow:
    """The branches, and the values of their sites that are known so far.

    Attributes:
        index: Index of the branch.
        branches: The branches.
        surveys: What each declares.
        reserved: Names declared outside.
        images: Values of latent sites, by name.
        seen: Values that the reader put in place of observed ones, or `None`, by name.
    """

    index: Array
    branches: Sequence[Branch]
    surveys: Sequence[BranchSurvey]
    reserved: frozenset[str]
    images: dict[str, Image] = field(default_factory=dict)
    seen: dict[str, Array | None] = field(default_factory=dict)

    def choose(self, run: Callable[[int], Any]) -> Any:
        """Return what the function makes of the index, traced once for each branch."""
        runs = [partial(run, i) for i in range(len(self.branches))]
        return jax.lax.switch(self.index, runs)

    def run(self, i: int, reach: "_Reach | None" = None) -> tuple[Any, Account]:
        """Run one branch with the values that are known."""
        account = Account(reserved=self.reserved)
        return self.branches[i](_KnownSites(self, reach), account), account

    def owner(self, i: int, name: str) -> int:
        """Return the branch whose declaration of a latent site counts if branch `i` is taken."""
        declaring = (j for j, own in enumerate(self.surveys) if name in own.sites)
        return i if name in self.surveys[i].sites else next(declaring)

    def reach(self, name: str, ask: Ask) -> Any:
        """Run the branch up to a site, all of whose predecessors are known; ask for arrays."""

        def run(i: int) -> Any:
            try:
                self.run(self.owner(i, name), _Reach(name, ask))
            except _ReachedError as reached:
                return reached.found
            raise AssertionError(name)

        return self.choose(run)

    def join(self, name: str, found: Sequence[Found]) -> Declaration:
        """Return the declaration of a latent site, whose set and map are those of the branch."""
        first = found[0].declaration
        assert first is not None
        if found[0].prior is None:
            mend = "Give it a prior, by site(name, prior), or declare it before the branches."
            refuse_missing(name, len(found) == len(self.branches), "without a prior", mend)
        priors = [own.prior for own in found if own.prior is not None]
        prior = _BranchPrior(self, name, priors) if priors else None
        joined = replace(first, prior=prior, learns_centering=False)
        if are_known_and_equal([own.declaration for own in found]):
            return joined
        _, rest = partition_map(found[0])
        dtypes = jax.tree.map(join_dtypes, *(partition_map(own)[0] for own in found))
        cast = lambda own: jax.tree.map(jnp.asarray, partition_map(own)[0], dtypes)  # noqa: E731
        constraint, bijector = eqx.combine(self.reach(name, cast), rest)
        return replace(joined, constraint=constraint, bijector=bijector)

    def observe(self, name: str, found: Sequence[Found], reader: Reader, account: Account) -> None:
        """Let the reader observe a site, for which every branch has data of one shape, or none."""
        mend = (
            "Let every branch declare it. Where it should not count, mask it: "
            f"site.observe({name!r}, prior.mask(False), y)."
        )
        refuse_missing(name, len(found) == len(self.branches), "observed", mend)
        is_known = found[0].value is not None
        value = self.reach(name, lambda own: jnp.asarray(own.value)) if is_known else None
        prior = _BranchPrior(self, name, [own.prior for own in found if own.prior is not None])
        seen = reader.observe(name, prior, value)
        # A branch keeps its own data, so that it can tell them from data that replace them.
        self.seen[name] = None if seen is value else seen
        account.observed[name] = seen


class _Reach(NamedTuple):
    """A site up to which a branch is run, and what is asked for there."""

    name: str
    ask: Ask


class _ReachedError(Exception):
    """Ends the run of a branch at the site that was asked for."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self.found = found


class _BranchPrior(Prior):
    """The distribution that a site has in the branch that is taken; it can only be drawn from."""

    def __init__(self, flow: _Flow, name: str, priors: Sequence[Prior]) -> None:
        first = priors[0]
        kinds = dict.fromkeys(type(strip_axes(own.distribution)).__name__ for own in priors)
        event = tuple(first.event_shape)
        # Its name stands in tables, and must not be that of a family.
        kind = type(f"{' or '.join(kinds)} by branch", (_DrawsOnly,), {})
        super().__init__(kind(first.batch_shape, event), first.batch_shape)
        self.has_value = all(own.has_value for own in priors)
        self.remark = next((own.remark for own in priors if own.remark), "")
        self._flow, self._name = flow, name

    def sample(self, key: Array) -> Array:
        return self._flow.reach(self._name, lambda own: _draw(own, key))


def _draw(found: Found, key: Array) -> Array:
    """Draw a site; whole numbers and truth values as whole numbers of the default size."""
    assert found.prior is not None
    drawn = found.prior.sample(key)
    return drawn if jnp.issubdtype(drawn.dtype, jnp.inexact) else drawn.astype(int)


class _DrawsOnly(dist.Distribution):
    """Stands for a distribution of which only draws are known."""

    arg_constraints = {}

    def __init__(self, batch: Shape, event: Shape) -> None:
        super().__init__(batch, event)


class _KnownSites(Reader):
    """Supplies the values of the sites of a branch that are known."""

    def __init__(self, flow: _Flow, reach: _Reach | None) -> None:
        self._flow, self._reach = flow, reach

    def take(self, declaration: Declaration) -> Image:
        self._stop_at(declaration.name, Found(declaration, declaration.prior))
        return self._flow.images[declaration.name]

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        self._stop_at(name, Found(None, prior, value))
        seen = self._flow.seen[name]
        return value if seen is None else seen

    def _stop_at(self, name: str, found: Found) -> None:
        if self._reach is not None and self._reach.name == name:
            raise _ReachedError(self._reach.ask(found))


def _finish(flow: _Flow, account: Account) -> Any:
    """Run the branch with the values of all sites; enter the terms and the derived values."""
    terms, derived = _join_terms(flow), _join_derived(flow)
    for own in flow.surveys:
        account.dims |= own.account.dims

    def run(i: int) -> tuple[Any, list[Array], list[Array]]:
        output, own = flow.run(i)
        rows = {term.name: term.rows for term in own.terms} | _left_to_others(flow, i)
        return (
            output,
            [_fill(rows.get(name), term.rows) for name, term in terms.items()],
            [_fill(own.derived[name], value) for name, value in derived.items()],
        )

    output, rows, values = flow.choose(run)
    account.terms += [t._replace(rows=r) for t, r in zip(terms.values(), rows, strict=True)]
    account.derived |= dict(zip(derived, values, strict=True))
    return output


def _left_to_others(flow: _Flow, i: int) -> dict[str, Array]:
    """Return the prior terms of the latent sites that branch `i` does not declare."""
    owners = {name: flow.owner(i, name) for name in flow.images}
    rows: dict[str, Array] = {}
    for j in sorted({*owners.values()} - {i}):
        _, account = flow.run(j)
        rows |= {t.name: t.rows for t in account.terms if owners.get(t.name) == j}
    return rows


def _fill(value: Array | None, like: Array) -> Array:
    """Return an array of the type of another; zeros if there is none."""
    return jnp.zeros(like.shape, like.dtype) if value is None else value.astype(like.dtype)


def _join_terms(flow: _Flow) -> dict[str, Term]:
    """List the terms of all branches, by name; their rows are those of an abstract run."""
    terms: dict[str, Term] = {}
    for term in (term for own in flow.surveys for term in own.account.terms):
        first = terms.setdefault(term.name, term)
        refuse_other_shape(term.name, "log density", term.rows, first.rows)
        terms[term.name] = first._replace(has_value=first.has_value and term.has_value)
    return terms


def _join_derived(flow: _Flow) -> dict[str, Array]:
    """List the derived values of all branches, by name; they are those of an abstract run."""
    derived: dict[str, Array] = {}
    all_of = [own.account.derived for own in flow.surveys]
    for name, value in (pair for own in all_of for pair in own.items()):
        mend = "Let every branch derive it, such as with the value jnp.nan."
        refuse_missing(name, all(name in own for own in all_of), "derived", mend)
        refuse_other_shape(name, "value", value, derived.setdefault(name, value))
    return derived
