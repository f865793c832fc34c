"""Hold quantities of any model at values, as observed or by intervention."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image

from ...errors import ModelError
from ..abstract import latent_names
from ..inputs.names import join_names
from ..inputs.precision import on_device
from ..model import Model
from ..origins import translating
from ..priors.prior import Prior
from ..protocol.account import Account
from ..protocol.minibatch import Minibatch
from ..protocol.reader import Reader
from ..protocol.steps import Repeated, Steps
from ..protocol.surveyor import Surveyor
from .change import Holding, Wrapper
from .freeze import Frozen, as_value, frozen, refuse_unknown


class Conditioned(Wrapper):
    """A model of which some latent sites were observed; see `Model.condition`.

    Attributes:
        model: The model with these sites held at what was observed.
        names: The sites.
    """

    names: tuple[str, ...] = eqx.field(static=True)

    def run(self, reader: Reader) -> Account:
        account = self.model.run(reader)
        seen = {name: self._frozen.values[name] for name in self.names}
        account.observed |= seen
        account.frozen = {n: d for n, d in account.frozen.items() if n not in seen}
        account.terms = [
            t._replace(role="likelihood") if t.name in seen else t for t in account.terms
        ]
        return account

    def parts(self) -> tuple[Model, dict[str, Array]]:
        whole, held = self._frozen.model.parts()
        return self.over(replace(self._frozen, model=whole)), held

    @property
    def _frozen(self) -> Frozen:
        assert isinstance(self.model, Frozen)
        return self.model


class Intervened(Holding):
    """A model of which some sites are set from outside; see `Model.do`."""

    def run(self, reader: Reader) -> Account:
        account = self.model.run(_Setter(reader, self.values))
        names = self.values.keys()
        known = account.names()
        for name in sorted(names - known):
            raise ModelError(
                name,
                "do sets it, but the model has no such site",
                f"Its sites are {join_names(sorted(known))}.",
            )
        account.declarations = [d for d in account.declarations if d.name not in names]
        account.terms = [term for term in account.terms if term.name not in names]
        for where in (account.images, account.observed, account.frozen):
            for name in names & where.keys():
                del where[name]
        return account


class _Setter(Reader):
    """Hands out what sites are set to, and asks another reader for the rest."""

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        self.reader, self._values = reader, values

    def take(self, declaration: Any) -> Image:
        if declaration.name not in self._values:
            return self.reader.take(declaration)
        value = self._fitting(declaration.name, declaration.shape)
        return Image.of(value)

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self.reader.rows(minibatch)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        if name not in self._values:
            return self.reader.observe(name, prior, value)
        shape = (*prior.batch_shape, *prior.event_shape) if value is None else value.shape
        return self._fitting(name, shape)

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        inside = [site.name for site in repeated if site.name in self._values]
        if inside:
            raise ModelError(
                inside[0],
                "do sets a site that a scan declares step by step",
                "Give the scan its values as data, in xs.",
            )
        inner = self.reader.steps(repeated, length)
        opened = lambda x: _Setter(inner.reader(x), self._values)  # noqa: E731
        report = lambda setter: inner.report(setter.reader)  # noqa: E731
        return Steps(inner.xs, opened, report, inner.close)

    def _fitting(self, name: str, shape: tuple[int, ...]) -> Array:
        value = self._values[name]
        try:
            return jnp.broadcast_to(value, shape)
        except ValueError:
            raise ModelError(
                name,
                f"do sets it to a value of shape {value.shape}, but it has shape {shape}",
                "Give a value of its shape, or one number for all its entries.",
            ) from None


def condition(model: Model, values: Mapping[str, Any]) -> Conditioned:
    """Declare latent sites observed; see `Model.condition`.

    Raises:
        ModelError: As `Model.freeze` does.
    """
    arrays = {name: as_value(name, value) for name, value in values.items()}
    refuse_unknown(arrays, latent_names(model))
    held = frozen(model, arrays)
    return Conditioned(held.labels, held.rules, held, tuple(sorted(arrays)))


def do(model: Model, values: Mapping[str, Any]) -> Intervened:
    """Set sites from outside; see `Model.do`.

    Raises:
        ModelError: No such site, or a value of another shape.
    """
    arrays = {name: on_device(value, name) for name, value in values.items()}
    made = Intervened(model.labels, model.rules, model, arrays)
    with translating(model):
        jax.eval_shape(lambda: made.run(Surveyor(model.rules)).log_density())
    return made
