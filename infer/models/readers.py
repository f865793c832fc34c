"""Readers that need no flat vector: draws from the prior, and values given by name."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image
from bijectors.joint import Flattener
from bijectors.rule import Rules

from ..errors import ModelError
from .base import Reader
from .prior import Prior
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


class Predictions(Reader):
    """Draws anew what is observed, and latent sites of which no value is given.

    Attributes:
        predicted: What was drawn for each observation, by name.
        observed: The data that it stands for, where there are any.
    """

    def __init__(self, values: Mapping[str, Array], key: Array) -> None:
        self._values, self._key, self._count = values, key, 0
        self.predicted: dict[str, Array] = {}
        self.observed: dict[str, Array] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        value = self._values.get(d.name)
        if value is None and d.prior is None:
            raise ModelError(
                d.name,
                "it has a constraint and no prior, so no draw of it exists",
                "Give it a prior, or values: model.freeze(name=value), or a posterior with it.",
            )
        value = d.prior.sample(self._fresh()) if value is None and d.prior else value
        assert value is not None
        if value.shape != d.shape:
            raise ModelError(
                d.name,
                f"the posterior has it with shape {value.shape}, and the model with {d.shape}",
                f"Predict for data of the same groups, or draw it anew: redraw=[{d.name!r}].",
            )
        zero = jnp.zeros(())
        return Image(value, zero, zero, {})

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        if value is not None:
            self.observed[name] = value
        self.predicted[name] = prior.sample(self._fresh())
        return self.predicted[name]

    def _fresh(self) -> Array:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


class Values(Reader):
    """Hands out constrained values given by name, and writes their flat vector."""

    def __init__(self, values: Mapping[str, Array], rules: Rules) -> None:
        self._values = values
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        return self.flattener.put(d.name, d.constraint, self._values[d.name], d.bijector)
