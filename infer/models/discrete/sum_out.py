"""Sum the discrete sites of a program out of its log density."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from math import prod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array

from bijectors.base import Image

from ...errors import ModelError
from ..inputs.names import join_names
from ..protocol.account import Account
from ..protocol.reader import DelegatingReader, Reader, wrap_steps
from ..protocol.site import Declaration, Part, Term
from ..protocol.steps import Repeated, Steps
from .chain import Chain
from .elimination import Factor, Summed, draw, eliminate, make_factors
from .owners import Owners, find_owners
from .support import Finite, find_support

Run = Callable[[Reader], Account]
# For each site that a term depends on, the entry that each of its rows depends on.
OwnersBySite = dict[str, np.ndarray]


def take_discrete(account: Account, reader: Reader, declaration: Declaration) -> Array:
    """Take a discrete site: the value that the reader has, or a first one that is summed over.

    Raises:
        ModelError: The support is not finite, or not known before the program runs.
    """
    name, prior = declaration.name, declaration.prior
    assert prior is not None
    value = reader.discrete(declaration)
    if value is None:
        found = find_support(declaration, declaration.constraint, prior)
        account.summed[name] = found
        value = found.value(jnp.zeros((), int))
    else:
        account.declarations.append(declaration)
        account.images[name] = Image.of(value)
    account.dims[name] = declaration.dims
    account.terms.append(Term(name, "prior", prior.log_density(value, {})))
    return value


def sum_out(run: Run, reader: Reader, account: Account) -> Account:
    """Replace the terms that depend on discrete sites by their sums over all values.

    The program runs once more, traced, with the values of its continuous sites as they are and
    those of its discrete sites as arguments. What was traced is evaluated for all of their values.

    Args:
        run: Runs the program.
        reader: The reader that it ran against.
        account: What it declared, with first values of the discrete sites.

    Raises:
        ModelError: The sites cannot be summed out entry by entry, or a set or a map of a continuous
            site depends on them.
    """
    sites = {n: own for n, own in account.summed.items() if isinstance(own, Finite)}
    traced, terms, derived = _trace(run, reader, account)
    owners = [_find_owners(traced, i, site) for i, site in enumerate(account.summed.values())]
    of_output = [
        {n: o for n, o in zip(account.summed, own, strict=True) if o is not None}
        for own in zip(*owners, strict=True)
    ]
    own_terms, rest = of_output[: len(terms)], of_output[len(terms) :]
    _refuse_used_chains(terms, own_terms, account)
    _refuse_unequal_sets(rest[len(derived) :], account, sites)
    factors = _make_factors(traced, terms, own_terms, sites, account.summed)
    summed, steps = eliminate(factors, sites)
    moved = {term.name: term for term, own in zip(terms, own_terms, strict=True) if own}
    account.terms = [term for term in account.terms if term.name not in moved]
    account.terms += _name_terms(summed, moved, own_terms, terms, sites)
    account.draws = [partial(draw, steps, sites)] if sites else account.draws
    for name, own in zip(derived, rest, strict=False):
        if own:
            account.dims.pop(name)
            account.derived.pop(name)
    return account


def _trace(run: Run, reader: Reader, account: Account) -> tuple[ClosedJaxpr, list[Term], list[str]]:
    """Trace the program as a function of the values of its discrete sites.

    Returns:
        The traced program; and the terms and the names of derived values that are its first
        results, before the numbers on which the sets and the maps of continuous sites depend.
    """
    found: list[tuple[list[Term], list[str]]] = []

    def call(*values: Array) -> list[Array]:
        given = dict(zip(account.summed, values, strict=True))
        own = run(_Replay(reader, account.images, given))
        names = [name for name in own.derived if name in account.derived]
        found.append((own.terms, names))
        sets = [(d.constraint, d.bijector) for d in own.declarations]
        maps = [leaf for leaf in jax.tree.leaves(sets) if eqx.is_array_like(leaf)]
        return [t.rows for t in own.terms] + [own.derived[n] for n in names] + maps

    first = [_first_value(site) for site in account.summed.values()]
    traced = jax.make_jaxpr(call)(*first)
    return traced, *found[-1]


def _first_value(site: Finite | Chain) -> Array:
    """Return the first value of a site; for a chain, a number that stands for its path."""
    return site.value(jnp.zeros((), int)) if isinstance(site, Finite) else jnp.zeros((), int)


def _find_owners(traced: ClosedJaxpr, index: int, site: Finite | Chain) -> list[Owners]:
    """Find the entries of one discrete site on which the results of the program depend."""
    given: list[Owners] = [None] * len(traced.jaxpr.invars)
    shape = site.shape if isinstance(site, Finite) else ()
    given[index] = np.arange(prod(shape)).reshape(shape)
    return find_owners(traced, given)


def _refuse_used_chains(
    terms: Sequence[Term], owners: Sequence[OwnersBySite], account: Account
) -> None:
    """Raise if a term outside of a scan depends on the states that are summed inside."""
    for term, own in zip(terms, owners, strict=True):
        for name in (name for name in own if isinstance(account.summed[name], Chain)):
            raise ModelError(
                name,
                f"{term.name!r} depends on what the scan returns of its states, which are summed "
                "out step by step",
                "Declare what depends on a state inside the step, by its own site.",
            )


def _refuse_unequal_sets(
    owners: Sequence[OwnersBySite], account: Account, sites: Mapping[str, Finite]
) -> None:
    """Raise if the set or the map of a continuous site depends on a discrete one."""
    site = next((name for own in owners for name in own), None)
    if site is not None:
        raise ModelError(
            site,
            "the bounds or the map of a continuous site depend on it, so that site has no one "
            "value for all values of this one",
            "Let only priors and observations depend on it: give the continuous site bounds that "
            "do not, and leave centered=True.",
        )


def _make_factors(
    traced: ClosedJaxpr,
    terms: Sequence[Term],
    owners: Sequence[OwnersBySite],
    sites: Mapping[str, Finite],
    all_sites: Mapping[str, Finite | Chain],
) -> list[Factor]:
    """Evaluate the terms that depend on discrete sites at all values of these."""
    tables: dict[tuple[str, ...], list[Array]] = {}
    factors: list[Factor] = []
    for i, (term, own) in enumerate(zip(terms, owners, strict=True)):
        _refuse_unvalued(term, all_sites)
        if not own:
            continue
        refuse_partial(term, own)
        names = tuple(own)
        if names not in tables:
            tables[names] = _evaluate_all(traced, names, sites, all_sites)
        factors += make_factors(term.name, tables[names][i], own, sites)
    return [*factors, *_list_repeated(sites, factors)]


def _refuse_unvalued(term: Term, sites: Mapping[str, Finite | Chain]) -> None:
    if not term.has_value:
        raise ModelError(
            term.name,
            f"its prior is known by its score alone, and {join_names(sites)} is summed out",
            "Give all sites distributions with a log density, or do the sum in a factor.",
        )


def refuse_partial(term: Term, sites: Collection[str]) -> None:
    """Raise if a term of sites that are summed out is scaled."""
    if term.is_partial or term.is_scaled:
        raise ModelError(
            term.name,
            f"it depends on {join_names(sites)}, which is summed out, and it is scaled, as in a "
            "plate with a minibatch: the logarithm of a sum over all rows has no estimate from "
            "some of them",
            "Use all rows in every step: minibatch=None, and no numpyro.handlers.scale.",
        )


def _evaluate_all(
    traced: ClosedJaxpr,
    names: Sequence[str],
    sites: Mapping[str, Finite],
    all_sites: Mapping[str, Finite | Chain],
) -> list[Array]:
    """Evaluate the program at all values of some discrete sites, along a leading axis for each."""

    def call(*chosen: Array) -> list[Array]:
        index = dict(zip(names, chosen, strict=True))
        values = [
            sites[name].value(index[name]) if name in index else _first_value(site)
            for name, site in all_sites.items()
        ]
        return jaxpr_as_fun(traced)(*values)

    for name in reversed(names):
        axes = tuple(0 if other == name else None for other in names)
        call = jax.vmap(call, axes)
    return call(*(jnp.arange(sites[name].count) for name in names))


def _list_repeated(sites: Mapping[str, Finite], factors: Sequence[Factor]) -> list[Factor]:
    """List factors that take out values that repeat others, where entries have fewer values."""
    found: list[Factor] = []
    for name, site in sites.items():
        repeated = site.is_repeated()
        if repeated is not None and repeated.any():
            table = jnp.where(repeated, -jnp.inf, 0.0)
            found.append(Factor((name,), table, {name: np.arange(site.low.size)}))
    return found


def _name_terms(
    summed: Sequence[Summed],
    moved: Mapping[str, Term],
    owners: Sequence[OwnersBySite],
    terms: Sequence[Term],
    sites: Mapping[str, Finite],
) -> list[Term]:
    """Name the summed rows after the one term beside priors of discrete sites, if there is one."""
    by_name = {term.name: own for term, own in zip(terms, owners, strict=True)}
    groups: list[list[Summed]] = []
    for one in summed:
        joined = [g for g in groups if any(set(one.names) & set(other.names) for other in g)]
        groups = [g for g in groups if g not in joined] + [[one, *sum(joined, [])]]
    return [_make_term(group, moved, by_name, sites) for group in groups]


def _make_term(
    group: Sequence[Summed],
    moved: Mapping[str, Term],
    owners: Mapping[str, OwnersBySite],
    sites: Mapping[str, Finite],
) -> Term:
    names = dict.fromkeys(name for one in group for name in one.names)
    others = [name for name in names if name not in sites]
    # A site without entries is in no term.
    present = {moved[name].role for name in names} or {"prior"}
    ranked: tuple[Part, ...] = ("likelihood", "factor", "prior")
    role: Part = next(role for role in ranked if role in present)
    name = others[0] if len(others) == 1 else group[0].site
    if len(group) > 1:
        return Term(name, role, jnp.concatenate([one.rows for one in group]))
    site, rows = group[0].site, group[0].rows
    own = owners[name].get(site) if name in others else None
    if own is not None and np.array_equal(np.sort(own, axis=None), np.arange(rows.size)):
        return Term(name, role, rows[own.reshape(-1)].reshape(own.shape))
    return Term(name, role, rows.reshape(sites[site].shape))


class _Replay(DelegatingReader):
    """Supplies the values that continuous sites had, and given ones of discrete sites."""

    def __init__(
        self, reader: Reader, images: Mapping[str, Image], values: Mapping[str, Array]
    ) -> None:
        super().__init__(reader)
        self._images, self._values = images, values

    def take(self, declaration: Declaration) -> Image:
        return self._images[declaration.name]

    def discrete(self, declaration: Declaration) -> Array | None:
        return self._values.get(declaration.name)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        own = {site.name: self._images[site.name].value for site in repeated}

        def wrap(reader: Reader, values: Mapping[str, Array]) -> DelegatingReader:
            return _Replay(reader, {n: Image.of(value) for n, value in values.items()}, {})

        # The other reader has served its sites; it answers for observations alone.
        steps = wrap_steps(self.reader.steps([], length, reverse), own, wrap)
        return steps._replace(report=lambda _: None, close=lambda *_: None)
