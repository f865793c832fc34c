"""Readers that need no flat vector: draws from the prior, and values given by name."""

from collections.abc import Mapping

import jax
from jaxtyping import Array

from bijectors.base import Image
from bijectors.joint import Flattener
from bijectors.rule import Rules

from ..errors import ModelError
from .base import Reader
from .site import Declaration


class PriorDraws(Reader):
    """Draws every site from its prior, given the sites drawn before it."""

    def __init__(self, key: Array, rules: Rules) -> None:
        self._key, self._count = key, 0
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        if declaration.prior is None:
            raise ModelError(
                declaration.name,
                "it has a constraint and no prior, so no prior draw exists",
                'Use starts="uniform", or give starting values.',
            )
        if not declaration.prior.valued:
            raise ModelError(
                declaration.name,
                "its prior is known by its score alone, so no prior draw exists",
                'Use starts="uniform", or give starting values.',
            )
        self._count += 1
        value = declaration.prior.sample(jax.random.fold_in(self._key, self._count))
        d = declaration
        return self.flattener.put(d.name, d.constraint, value, d.bijector)


class Values(Reader):
    """Hands out constrained values given by name, and writes their flat vector."""

    def __init__(self, values: Mapping[str, Array], rules: Rules) -> None:
        self._values = values
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        return self.flattener.put(d.name, d.constraint, self._values[d.name], d.bijector)
