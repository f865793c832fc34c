"""Readers for predictions: values that are given, and draws of everything else."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image

from ..errors import ModelError
from .priors.continued import sample_after, series_axis
from .priors.prior import Prior
from .protocol.reader import Reader
from .protocol.site import Declaration
from .protocol.steps import Repeated, Steps, refuse_lengths


class Given(NamedTuple):
    """What is known before a prediction, by the names of sites.

    Attributes:
        values: Values of latent sites. If the prior can continue a series, they may be those of
            its first steps.
        history: What was observed in the first steps of a scan, filled up to all its steps.
        known: For a site that is known in part, True where it is; it broadcasts to the value, and
            has as many axes.
    """

    values: Mapping[str, Any]
    history: Mapping[str, Any]
    known: Mapping[str, Any]

    def of(self, name: str) -> Array | None:
        """Return what is given for a site, if anything is."""
        return self.values.get(name, self.history.get(name))


class Predictions(Reader):
    """Draws observations, and what is not given of the latent sites.

    Attributes:
        predicted: What was drawn for each observation, by name.
        observed: The data of each observation that has any, by name.
    """

    def __init__(self, given: Given, key: Array) -> None:
        self._given, self._key, self._count = given, key, 0
        self.predicted: dict[str, Array] = {}
        self.observed: dict[str, Array] = {}

    def take(self, declaration: Declaration) -> Image:
        d, value = declaration, self._given.of(declaration.name)
        if value is None:
            return Image.of(self._draw(d))
        if value.shape != d.shape and series_axis(d.prior) is not None:
            return Image.of(self._draw(d))
        refuse_shape(d, value.shape)
        known = self._given.known.get(d.name)
        return Image.of(value if known is None else jnp.where(known, value, self._draw(d)))

    def discrete(self, declaration: Declaration) -> Array | None:
        return self.take(declaration).value

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        if value is not None:
            self.observed[name] = value
        self.predicted[name] = drawn = prior.sample(self._next_key())
        history = self._given.history.get(name)
        return drawn if history is None else jnp.where(self._given.known[name], history, drawn)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        given = self._given.values
        refuse_lengths({s.name: given[s.name] for s in repeated if s.name in given}, length)
        # Discrete sites are not among those that repeat; the steps read what they ask for.
        own = {name: a for name, a in given.items() if a.shape[:1] == (length,)}
        # It is not known here which of them the scan observes.
        history = {n: a for n, a in self._given.history.items() if a.shape[:1] == (length,)}
        known = {n: self._given.known[n] for n in (own | history) if n in self._given.known}
        of_steps = {n: jnp.broadcast_to(a, (length, *a.shape[1:])) for n, a in known.items()}
        given = Given(own, history, of_steps)
        keys = jax.random.split(self._next_key(), length)

        def close(reports: Any, _: list[Declaration]) -> None:
            self.predicted |= reports[0]
            self.observed |= reports[1]

        report = lambda reader: (reader.predicted, reader.observed)  # noqa: E731
        return Steps((given, keys), lambda given: Predictions(*given), report, close)

    def _draw(self, declaration: Declaration) -> Array:
        if declaration.prior is None:
            raise ModelError(
                declaration.name,
                "it has a constraint and no prior, so no draw of it exists",
                "Give it a prior, or values: model.freeze(name=value), or a posterior with it.",
            )
        known = {**self._given.history, **self._given.values}
        return sample_after(declaration.prior, declaration.name, self._next_key(), known)

    def _next_key(self) -> Array:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


class PredictionSurveyor(Predictions):
    """Finds what a model would predict if nothing were given; for abstract runs.

    Attributes:
        scans: Sites and observations inside a scan, with whether it runs in reverse, by name.
    """

    def __init__(self, key: Array) -> None:
        super().__init__(Given({}, {}, {}), key)
        self.scans: dict[str, bool] = {}

    def take(self, declaration: Declaration) -> Image:
        prior = declaration.prior
        if prior is None or not prior.has_value:
            return Image.of(jnp.zeros(declaration.shape))
        return Image.of(prior.sample(self._next_key()))

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        steps = super().steps(repeated, length, reverse)

        def close(reports: Any, whole: list[Declaration]) -> None:
            steps.close(reports, whole)
            self.scans |= dict.fromkeys([*reports[0], *(d.name for d in whole)], reverse)

        return steps._replace(reader=lambda given: PredictionSurveyor(given[1]), close=close)


def refuse_shape(declaration: Declaration, found: tuple[int, ...]) -> None:
    """Raise if a value given for a site has another shape than the site."""
    if found != declaration.shape:
        name = declaration.name
        raise ModelError(
            name,
            f"the posterior has it with shape {found}, and the model with {declaration.shape}",
            f"Predict for data of the same groups, or redraw it: redraw=[{name!r}].",
        )
