"""Intervene: set sites from outside, so that nothing is learned from their values."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from bijectors.base import Image

from ...errors import ModelError
from ..inputs.names import join_names
from ..inputs.precision import on_device
from ..inputs.units import refuse_units
from ..origins import translate_errors_of
from ..priors.prior import Prior
from ..protocol.account import Account
from ..protocol.reader import DelegatingReader, Reader, wrap_steps
from ..protocol.runnable import Runnable
from ..protocol.site import Declaration
from ..protocol.steps import Repeated, Steps
from ..protocol.surveyor import Surveyor
from .change import Change, Run
from .labelled import order_as_sites


class Do(Change):
    """Set sites from outside; see `Model.do`.

    Attributes:
        values: What the sites are set to, by name; leaves of the model.
    """

    values: dict[str, Array]

    @classmethod
    def checked(cls, model: Runnable, values: Mapping[str, Any]) -> "Do":
        """Make the change, after an abstract run that checks the values.

        Raises:
            ModelError: No such site, a value of another shape, or a site of a scan.
        """
        for name, value in values.items():
            refuse_units(name, value, "its value")
        ordered = order_as_sites(model, values)
        made = cls({name: on_device(value, name) for name, value in ordered.items()})
        with translate_errors_of(model):
            jax.eval_shape(lambda: made.run(model.run, Surveyor(model.rules)).log_density())
        return made

    def run(self, inner: Run, reader: Reader) -> Account:
        account = inner(_SettingReader(reader, self.values))
        names = self.values.keys()
        known = account.names()
        for name in sorted(names - known):
            raise ModelError(
                name,
                "do sets it, but the model has no such site",
                f"Its sites are {join_names(sorted(known))}.",
            )
        if account.simulated and (drawn := sorted(names & account.observed.keys())):
            raise ModelError(
                drawn[0],
                "do sets what a simulator draws, and the log likelihood keeps its term",
                "Change the data by model.with_data(...).",
            )
        account.declarations = [d for d in account.declarations if d.name not in names]
        account.terms = [term for term in account.terms if term.name not in names]
        for where in (account.images, account.observed, account.frozen):
            for name in names & where.keys():
                del where[name]
        return account

    def held(self) -> Mapping[str, Any]:
        return self.values


class _SettingReader(DelegatingReader):
    """Supplies what sites are set to, and asks another reader for the rest."""

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        super().__init__(reader)
        self._values = values

    def take(self, declaration: Declaration) -> Image:
        if declaration.name not in self._values:
            return self.reader.take(declaration)
        return Image.of(self._spread(declaration.name, declaration.shape))

    def discrete(self, declaration: Declaration) -> Array | None:
        if declaration.name not in self._values:
            return self.reader.discrete(declaration)
        return self._spread(declaration.name, declaration.shape).astype(int)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        if name not in self._values:
            return self.reader.observe(name, prior, value)
        shape = (*prior.batch_shape, *prior.event_shape) if value is None else value.shape
        return self._spread(name, shape)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        inside = [site.name for site in repeated if site.name in self._values]
        if inside:
            raise ModelError(
                inside[0],
                "do sets a site that a scan declares in every step, or site.vmap for every row",
                "Give site.scan or site.vmap its values as data, in xs.",
            )
        wrap = lambda reader, _: _SettingReader(reader, self._values)  # noqa: E731
        return wrap_steps(self.reader.steps(repeated, length, reverse), None, wrap)

    def _spread(self, name: str, shape: tuple[int, ...]) -> Array:
        value = self._values[name]
        try:
            return jnp.broadcast_to(value, shape)
        except ValueError:
            raise ModelError(
                name,
                f"do sets it to a value of shape {value.shape}, but it has shape {shape}",
                "Give a value of its shape, or one number for all its entries.",
            ) from None
