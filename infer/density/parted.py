"""The parts of a log density, and normal priors in expectation over independent coordinates."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image
from bijectors.compose import Over
from bijectors.registry import bijector_for
from bijectors.rule import Rules
from bijectors.sets.real import Identity

from ..models.protocol.account import Account
from ..models.protocol.site import Declaration
from ..target import Moments, Parts
from ..types import Scalar, Vector
from .readers import FlatReader


def split_account(account: Account, latent: set[str], correction: Scalar) -> Parts:
    """Split what a run has computed into the prior of the latent sites and the rest.

    Args:
        account: What the run declared.
        latent: Names of the latent sites. Only these are drawn from the prior; the prior of a
            frozen site may depend on them.
        correction: What the maps add to the prior, in nats.
    """
    dtype = correction.dtype
    sums = {True: jnp.zeros((), dtype), False: jnp.zeros((), dtype)}
    for term in account.terms:
        is_drawn = term.role == "prior" and term.name in latent
        sums[is_drawn] = sums[is_drawn] + term.rows.sum().astype(dtype)
    return Parts(sums[True] + correction, sums[False])


class MomentsReader(FlatReader):
    """Reads a flat vector, and tells priors the means and standard deviations it was drawn with.

    A normal prior then takes the expectation of its log density over its own coordinates, given
    the draw of all others; see `models/priors/prior.py`.
    """

    def __init__(
        self, position: Vector, moments: Moments, rules: Rules, rows: Mapping[str, Array]
    ) -> None:
        super().__init__(position, rules, rows)
        self._moments = moments

    def take(self, declaration: Declaration) -> Image:
        begin = self.joint.position
        image = super().take(declaration)
        if not _is_identity(declaration, self._rules):
            return image
        own: Any = slice(begin, self.joint.position)
        mean, sd = (part[own].reshape(declaration.shape) for part in self._moments)
        return image._replace(by_products={"moments": jnp.stack([mean, sd])})


def _is_identity(declaration: Declaration, rules: Rules) -> bool:
    d = declaration
    found = bijector_for(d.constraint, d.shape, d.bijector, rules, d.name)
    return isinstance(found.each if isinstance(found, Over) else found, Identity)
