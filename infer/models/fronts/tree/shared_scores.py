"""Prior terms of sites that share one score prior, computed in one batched call."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

from ...priors.prior import Prior
from ...protocol.site import Declaration, Term

Taken = tuple[Declaration, Array]


class SharedScoreTerms:
    """Sites with score priors, grouped so that one call of a score answers for a group."""

    def __init__(self) -> None:
        self._groups: dict[tuple, list[Taken]] = {}

    def add(self, owner: str, declaration: Declaration, value: Array) -> None:
        """Add a site; `owner` names the site whose prior it uses."""
        key = (owner, declaration.shape, value.dtype)
        self._groups.setdefault(key, []).append((declaration, value))

    def terms(self) -> list[Term]:
        """Call each score once for all its sites of one shape."""
        return [term for group in self._groups.values() for term in _terms(group)]


def _terms(group: Sequence[Taken]) -> list[Term]:
    declarations, values = zip(*group, strict=True)
    one = declarations[0].prior
    shared = Prior(one.distribution, (len(group), *one.batch_shape))
    rows = shared.log_density(jnp.stack(values), {})
    names = [declaration.name for declaration in declarations]
    return [Term(name, "prior", row, False) for name, row in zip(names, rows, strict=True)]
