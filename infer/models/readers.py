"""Readers that need no flat vector: draws from the prior, and values by name."""

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
from .protocol.reader import Reader
from .protocol.site import Declaration
from .protocol.steps import Repeated, Steps


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

    def discrete(self, declaration: Declaration) -> Array | None:
        self._count += 1
        prior = declaration.prior
        return None if prior is None else prior.sample(jax.random.fold_in(self._key, self._count))

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        self._count += 1
        keys = jax.random.split(jax.random.fold_in(self._key, self._count), length)
        return write_steps(self.flattener, repeated, keys, lambda k: PriorDraws(k, self._rules))


class Values(Reader):
    """Supplies constrained values given by name, and writes their flat vector."""

    def __init__(self, values: Mapping[str, Array], rules: Rules) -> None:
        self._values, self._rules = values, rules
        self.flattener = Flattener(rules)

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        return self.flattener.put(d.name, d.constraint, self._values[d.name], d.bijector)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        own = {site.name: self._values[site.name] for site in repeated}
        return write_steps(self.flattener, repeated, own, lambda v: Values(v, self._rules))


class KnownValues(Reader):
    """Supplies constrained values by name; discrete sites that are not named are summed out."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self._values = values

    def take(self, declaration: Declaration) -> Image:
        return Image.of(self._values[declaration.name])

    def discrete(self, declaration: Declaration) -> Array | None:
        return self._values.get(declaration.name)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        # It is not known here which of them the scan declares; it reads those that it asks for.
        own = {name: a for name, a in self._values.items() if a.shape[:1] == (length,)}
        return Steps(own, type(self), lambda _: None, lambda *_: None)


def write_steps(
    flattener: Flattener, repeated: Sequence[Repeated], xs: Any, reader: Callable[[Any], Reader]
) -> Steps:
    """Let each step write its own flat vector, and join the pieces of each site.

    Args:
        flattener: Takes the pieces.
        repeated: The sites of a step.
        xs: What each step is given, along a leading axis of steps.
        reader: Makes the reader of a step, which has a `flattener`, from its row of `xs`.
    """

    def close(rows: Array, _: list[Declaration]) -> None:
        ends = np.cumsum([site.size for site in repeated])[:-1]
        for piece in jnp.split(rows, ends, axis=1) if repeated else []:
            flattener.write(piece.reshape(-1))

    return Steps(xs, reader, lambda reader: reader.flattener.flat(), close)
