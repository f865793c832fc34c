"""Find the sites whose centering can be learned: location or scale depends on other sites."""

from collections.abc import Iterator, Mapping

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn
from jaxtyping import Array

from ..equations import FOLLOWED, find_dependent
from .protocol.account import Account
from .protocol.site import Site

# What the surveyor puts before every latent value.
BARRIER = "optimization_barrier"


def list_spreads(account: Account, spreads: Mapping[str, tuple[Array, Array]]) -> list[Array]:
    """List location and scale of the prior of each site that may learn its centering, in order.

    Beside a discrete site that is summed out there are none: a prior may depend on its values, for
    each of which a map would differ.
    """
    sites = [] if account.summed else [d for d in account.declarations if d.learns_centering]
    return [part for d in sites for part in spreads[d.name]]


def settle_centering(
    sites: tuple[Site, ...], program: ClosedJaxpr
) -> tuple[tuple[Site, ...], ClosedJaxpr]:
    """Say which sites learn their centering, and return the program without their spreads.

    Args:
        sites: Sites of an abstract run, some of which may learn their centering.
        program: The run, whose last results are those of `list_spreads`.
    """
    jaxpr = program.jaxpr
    latent = [result for e in _list_latent(jaxpr) for result in e.outvars]
    candidates = [site.name for site in sites if site.learns_centering]
    kept = len(jaxpr.outvars) - 2 * len(candidates)
    moving = find_dependent(jaxpr, latent)[kept:]
    pairs = zip(candidates, moving[::2], moving[1::2], strict=True)
    learns = {name for name, *parts in pairs if any(parts)}
    settled = tuple(site._replace(learns_centering=site.name in learns) for site in sites)
    return settled, ClosedJaxpr(jaxpr.replace(outvars=jaxpr.outvars[:kept]), program.consts)


def _list_latent(program: Jaxpr) -> Iterator[JaxprEqn]:
    """List the equations that make latent values, or hold a program that does and is not followed.

    What a value is computed from is followed into calls and into the steps of a scan.
    """
    for equation in program.eqns:
        inner = [e for own in _list_programs(equation) for e in _list_latent(own)]
        if equation.primitive.name == BARRIER:
            yield equation
        elif equation.primitive.name in FOLLOWED:
            yield from inner
        elif inner:
            yield equation


def _list_programs(equation: JaxprEqn) -> Iterator[Jaxpr]:
    for value in equation.params.values():
        for own in value if isinstance(value, tuple | list) else (value,):
            if isinstance(own, Jaxpr | ClosedJaxpr):
                yield own.jaxpr if isinstance(own, ClosedJaxpr) else own
