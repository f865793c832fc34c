"""Find the sites whose centering can be learned: location or scale depends on other sites."""

from collections.abc import Iterator

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jaxtyping import Array

from ..equations import find_dependent
from .priors.centering import read_spread
from .priors.prior import strip_axes
from .protocol.account import Account
from .protocol.site import Site

# What the surveyor puts before every latent value.
BARRIER = "optimization_barrier"


def list_spreads(account: Account) -> list[Array]:
    """List location and scale of the prior of each site that may learn its centering, in order.

    Beside a discrete site that is summed out there are none: a prior may depend on its values, for
    each of which a map would differ.
    """
    priors = [] if account.summed else [d.prior for d in account.declarations if d.learns_centering]
    spreads = [read_spread(strip_axes(prior.distribution)) for prior in priors if prior is not None]
    return [jnp.asarray(part) for spread in spreads for part in spread]


def settle_centering(
    sites: tuple[Site, ...], program: ClosedJaxpr
) -> tuple[tuple[Site, ...], ClosedJaxpr]:
    """Say which sites learn their centering, and return the program without their spreads.

    Args:
        sites: Sites of an abstract run, some of which may learn their centering.
        program: The run, whose last results are those of `list_spreads`.
    """
    jaxpr = program.jaxpr
    latent = [result for e in jaxpr.eqns if _has_barrier(e) for result in e.outvars]
    candidates = [site.name for site in sites if site.learns_centering]
    kept = len(jaxpr.outvars) - 2 * len(candidates)
    moving = find_dependent(jaxpr, latent)[kept:]
    pairs = zip(candidates, moving[::2], moving[1::2], strict=True)
    learns = {name for name, *parts in pairs if any(parts)}
    settled = tuple(site._replace(learns_centering=site.name in learns) for site in sites)
    return settled, ClosedJaxpr(jaxpr.replace(outvars=jaxpr.outvars[:kept]), program.consts)


def _has_barrier(equation: JaxprEqn) -> bool:
    """Return whether an equation makes latent values, or holds a program that does."""
    inner = (e for program in _list_programs(equation) for e in program.eqns)
    return equation.primitive.name == BARRIER or any(map(_has_barrier, inner))


def _list_programs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    for value in equation.params.values():
        for own in value if isinstance(value, tuple | list) else (value,):
            if isinstance(own, Jaxpr | ClosedJaxpr):
                yield own.jaxpr if isinstance(own, ClosedJaxpr) else own
