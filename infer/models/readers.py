"""Readers that need no flat vector: draws from the prior, predictions, and values by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Image
from bijectors.joint import Flattener
from bijectors.rule import Rules

from ..errors import ModelError
from .priors.prior import Prior
from .protocol.reader import Reader
from .protocol.site import Declaration
from .protocol.steps import Repeated, Steps, refuse_lengths


class PriorDraws(Reader):
    """Draws every site from its prior, given the sites drawn before it."""

    def __init__(self, key: Array, rules: Rules) -> None:
        self._key, self._count, self._rules = key, 0, rules
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        if declaration.prior is None:
            raise ModelError(
                declaration.name,
                "it has a constraint and no prior, so no prior draw exists",
                'Use starts="uniform", or give starting values.',
            )
        if not declaration.prior.has_value:
            raise ModelError(
                declaration.name,
                "its prior is known by its score alone, so no prior draw exists",
                'Use starts="uniform", or give starting values.',
            )
        self._count += 1
        value = declaration.prior.sample(jax.random.fold_in(self._key, self._count))
        d = declaration
        return self.flattener.put(d.name, d.constraint, value, d.bijector)

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        self._count += 1
        keys = jax.random.split(jax.random.fold_in(self._key, self._count), length)
        return _write_steps(self.flattener, repeated, keys, lambda k: PriorDraws(k, self._rules))


class Predictions(Reader):
    """Draws observations, and latent sites that no value is given for.

    Attributes:
        predicted: What was drawn for each observation, by name.
        observed: The data of each observation that has any, by name.
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
        value = d.prior.sample(self._next_key()) if value is None and d.prior else value
        assert value is not None
        if value.shape != d.shape:
            raise ModelError(
                d.name,
                f"the posterior has it with shape {value.shape}, and the model with {d.shape}",
                f"Predict for data of the same groups, or redraw it: redraw=[{d.name!r}].",
            )
        return Image.of(value)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        if value is not None:
            self.observed[name] = value
        self.predicted[name] = prior.sample(self._next_key())
        return self.predicted[name]

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        names = [site.name for site in repeated if site.name in self._values]
        own = {name: self._values[name] for name in names}
        refuse_lengths(own, length)
        keys = jax.random.split(self._next_key(), length)

        def close(reports: Any, _: list[Declaration]) -> None:
            self.predicted |= reports[0]
            self.observed |= reports[1]

        report = lambda reader: (reader.predicted, reader.observed)  # noqa: E731
        return Steps((own, keys), lambda given: Predictions(*given), report, close)

    def _next_key(self) -> Array:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


class Values(Reader):
    """Supplies constrained values given by name, and writes their flat vector."""

    def __init__(self, values: Mapping[str, Array], rules: Rules) -> None:
        self._values, self._rules = values, rules
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        return self.flattener.put(d.name, d.constraint, self._values[d.name], d.bijector)

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        own = {site.name: self._values[site.name] for site in repeated}
        return _write_steps(self.flattener, repeated, own, lambda v: Values(v, self._rules))


def _write_steps(
    flattener: Flattener, repeated: Sequence[Repeated], xs: Any, reader: Callable[[Any], Reader]
) -> Steps:
    """Let each step write its own flat vector, and join the pieces of each site."""

    def close(rows: Array, _: list[Declaration]) -> None:
        ends = np.cumsum([site.size for site in repeated])[:-1]
        for piece in jnp.split(rows, ends, axis=1) if repeated else []:
            flattener.write(piece.reshape(-1))

    return Steps(xs, reader, lambda reader: reader.flattener.flat(), close)
