"""Run a model abstractly, to learn its sites and its program; nothing is computed or compiled."""

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from ..errors import ModelError
from ..types import ProgramSignature, signature_of
from .dependent import list_spreads, settle_centering
from .inputs.stacked import refuse_stacked
from .origins import translate_errors_of
from .outline import Outline, list_results, outline
from .priors.prior import Prior, name_kind
from .protocol.account import Account
from .protocol.clashes import refuse_clashes
from .protocol.layout import refuse_repeated
from .protocol.minibatch import Minibatch
from .protocol.reader import Reader
from .protocol.runnable import Runnable
from .protocol.site import Declaration, Role, Site, Term
from .protocol.surveyor import Surveyor


class AbstractRun(NamedTuple):
    """What one abstract run of a model found.

    Attributes:
        sites: What the model declares.
        minibatches: Plates of which a step sees a minibatch.
        divided: Sizes of the plates whose rows are divided over devices, by name.
        program: The run as a jaxpr, from the leaves of the model to its log density, its derived
            and its observed values. The latent sites are behind barriers.
        outline: What tells the model from all others.
    """

    sites: tuple[Site, ...]
    minibatches: tuple[Minibatch, ...]
    divided: Mapping[str, int]
    program: ClosedJaxpr
    outline: Outline


def run_abstractly(model: Runnable) -> AbstractRun:
    """Run a model abstractly, once for all models that differ only in their numbers."""
    return _run_abstractly(signature_of(model))


@lru_cache(maxsize=64)
def _run_abstractly(model: ProgramSignature) -> AbstractRun:
    sites, surveyor, program, whole = _survey(model.outline())
    refuse_clashes({site.name: site.dims or (None,) * len(site.shape) for site in sites})
    plates = tuple(surveyor.minibatches.values())
    return AbstractRun(sites, plates, surveyor.divided, program, whole)


def sites_of(model: Runnable) -> tuple[Site, ...]:
    """Find the sites of a model that sees its data, which no program may use."""
    return _survey(model, as_numbers=True)[0]


def latent_names(model: Runnable) -> list[str]:
    """List the names of the latent sites of a model, if it has any."""
    refuse_stacked(model)
    return [site.name for site in run_abstractly(model).sites if site.role == "latent"]


def find_entries(model: Runnable) -> dict[str, list[tuple[int, ...]]]:
    """List, for each latent site, the entry that each number of the flat vector is named after."""
    surveyor = _survey(model)[1]
    return {name: find() for name, find in surveyor.entries.items()}


def account_of(model: Runnable, reader: Reader | None = None) -> Account:
    """Run a model abstractly and return its account.

    What is known before the program runs, such as powers of views, stays a number there.
    """
    found: list[Account] = []

    def run() -> Array:
        found.append(model.run(Surveyor(model.rules) if reader is None else reader))
        return jnp.zeros(())

    with translate_errors_of(model):
        jax.eval_shape(run)
    return found[0]


def _survey(
    model: Runnable, as_numbers: bool = False
) -> tuple[tuple[Site, ...], Surveyor, ClosedJaxpr, Outline]:
    """Run a model abstractly; with `as_numbers` its data stay numbers, not arguments."""
    refuse_stacked(model)
    found: list[tuple[tuple[Site, ...], Surveyor, Account, int, str | None]] = []
    given = () if as_numbers else (model,)

    def abstract_run(model: Runnable) -> Any:
        surveyor = Surveyor(model.rules)
        account = model.run(surveyor)
        refuse_repeated(account.dims)
        surveyor.divided = account.divided
        _check_terms(account.terms)
        results = account.log_density(), account.derived, account.observed
        more, declared = list_results(account, surveyor)
        found.append((_sites(account, surveyor), surveyor, account, len(more), declared))
        return results, list_spreads(account, surveyor.spreads), more

    with translate_errors_of(model):
        # Data that the function closes over stay numbers.
        run = partial(abstract_run, model) if as_numbers else abstract_run
        whole = jax.make_jaxpr(run)(*given)
    sites, surveyor, account, more, declared = found[0]
    kept = whole.jaxpr.replace(outvars=whole.jaxpr.outvars[: -more or None])
    sites, program = settle_centering(sites, ClosedJaxpr(kept, whole.consts))
    return sites, surveyor, program, outline(whole, account, declared)


def _sites(account: Account, surveyor: Surveyor) -> tuple[Site, ...]:
    unvalued = {term.name for term in account.terms if not term.has_value}
    latent = [
        Site(
            d.name,
            "latent",
            type(d.constraint).__name__,
            surveyor.bijectors[d.name],
            d.shape,
            surveyor.unconstrained_shapes[d.name],
            d.dims,
            name_of_prior(d.prior),
            surveyor.refusals[d.name],
            d.name not in unvalued,
            "" if d.prior is None else d.prior.remark,
            d.learns_centering and not account.summed,
            d.name in surveyor.in_steps,
        )
        for d in account.declarations
    ]
    latent += [_unmapped("frozen", d) for d in account.frozen.values()]
    latent += [_unmapped("summed", own.declaration) for own in account.summed.values()]
    rest: list[tuple[Role, Mapping[str, Any]]] = [
        ("derived", account.derived),
        ("observed", account.observed),
    ]
    others = [
        Site(name, role, "", "", tuple(jnp.shape(value)), (0,), account.dims[name])
        for role, values in rest
        for name, value in values.items()
    ]
    return tuple(latent + others)


def _unmapped(role: Role, d: Declaration) -> Site:
    return Site(
        d.name, role, type(d.constraint).__name__, "", d.shape, (0,), d.dims, name_of_prior(d.prior)
    )


def name_of_prior(prior: Prior | None) -> str:
    """Return the name of the type of a distribution; "flat" if there is none."""
    return "flat" if prior is None else name_kind(prior.distribution).lstrip("_")


def _check_terms(terms: list[Term]) -> None:
    for term in terms:
        if not jnp.issubdtype(term.rows.dtype, jnp.floating):
            raise ModelError(
                term.name,
                f"its log density has dtype {term.rows.dtype}",
                "Return real floating-point numbers.",
            )
