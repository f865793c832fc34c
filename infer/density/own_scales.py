"""Find sites each of whose entries is multiplied by a scale of its own, an entry of another site.

An example is a horseshoe, y = x @ (z * lam * tau): the data fix the products, along curves that
suit no constant metric. If all entries have one scale, as in eight schools, all of them inform it,
and a constant metric is good enough.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from jax.extend.core import JaxprEqn, Literal

from ..equations import CALLS
from ..models.abstract import run_abstractly
from ..models.dependent import BARRIER
from ..models.model import Model
from ..types import ProgramSignature, signature_of

# Results have the entries of the operand in their order, if they have as many.
ENTRY_BY_ENTRY = frozenset(
    ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "convert_element_type", "neg", "copy")
)
# Applied to positive numbers, these give positive numbers.
POSITIVE = frozenset(
    ("add", "mul", "div", "max", "min", "pow", "integer_pow", "sqrt", "rsqrt", "square", "exp")
)
PRODUCTS = frozenset(("mul", "div"))
# Priors of scales so wide that a constant metric seldom fits them; "flat" is none that is known.
WIDE = frozenset(("HalfCauchy", "Cauchy", "StudentT", "InverseGamma", "Pareto", "flat"))


class Entries(NamedTuple):
    """What is known of an array whose entries are computed from those of a site, one from one.

    Attributes:
        site: The number of the site.
        is_scale: Whether they are positive functions of them; if not, multiples.
    """

    site: int
    is_scale: bool = False


def has_own_scales(model: Model) -> bool:
    """Return whether a site has entries that are multiplied or divided by scales of their own.

    Sites whose centering is learned do not count, as that allows for scales; nor do sites in scans,
    and scales with a prior that is not wide.
    """
    return _has_own_scales(signature_of(model))


@lru_cache(maxsize=64)
def _has_own_scales(signature: ProgramSignature) -> bool:
    run = run_abstractly(signature.outline())
    latent = [site for site in run.sites if site.role == "latent"]
    search = _Search()
    search.follow(run.program, [None] * len(run.program.jaxpr.invars))
    # Otherwise it is not known which barrier is of which site.
    is_known = search.count == len(latent)
    return is_known and any(
        latent[scale].prior in WIDE and not latent[site].learns_centering
        for site, scale in search.products
    )


class _Search:
    """Follows a program that has a barrier before the value of each site, in order.

    Attributes:
        count: Number of sites.
        products: Pairs of numbers: a site, and the site whose entries scale those of the first.
    """

    def __init__(self) -> None:
        self.count, self.products = 0, set[tuple[int, int]]()

    def follow(self, program: Any, given: Sequence[Entries | None]) -> list[Entries | None]:
        """Follow a program whose arguments are given; return what is known of its results."""
        jaxpr = getattr(program, "jaxpr", program)
        known = dict(zip(jaxpr.invars, given, strict=True))
        read = lambda atom: None if isinstance(atom, Literal) else known.get(atom)  # noqa: E731
        for equation in jaxpr.eqns:
            name, own = equation.primitive.name, [read(atom) for atom in equation.invars]
            if name == BARRIER:
                results: Sequence[Entries | None] = [Entries(self.count)]
                self.count += 1
            elif name in CALLS:
                results = self.follow(equation.params[CALLS[name]], own)
            else:
                results = [self._compute(equation, own)] if any(own) and equation.outvars else []
            known.update(zip(equation.outvars, results, strict=False))
        return [read(atom) for atom in jaxpr.outvars]

    def _compute(self, equation: JaxprEqn, own: Sequence[Entries | None]) -> Entries | None:
        """Return what is known of the result of an equation some of whose operands are known."""
        name, size = equation.primitive.name, _count(equation.outvars[0])
        sizes = {_count(atom) for atom, e in zip(equation.invars, own, strict=True) if e}
        if size < 2 or sizes != {size}:
            return None
        known = [e for e in own if e]
        values, scales = ([e for e in known if e.is_scale is kind] for kind in (False, True))
        if name in PRODUCTS and values and (name == "mul" or own[0] in values):
            site = values[0].site
            self.products |= {(site, scale.site) for scale in scales if scale.site != site}
            return values[0] if len(values) == 1 else None
        if name in ENTRY_BY_ENTRY or _adds_nothing(equation):
            return known[0]
        if name == "exp" or (name in POSITIVE and not values):
            return known[0]._replace(is_scale=True)
        return None


def _adds_nothing(equation: JaxprEqn) -> bool:
    """Return whether an equation subtracts a mean of zero."""
    other = equation.invars[-1]
    return equation.primitive.name == "sub" and isinstance(other, Literal) and not np.any(other.val)


def _count(atom: Any) -> int:
    """Return the number of entries of an operand or a result."""
    return prod(atom.aval.shape)
