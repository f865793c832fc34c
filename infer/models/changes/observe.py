"""Replace what a model observed, such as by simulated data."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Array

from ..inputs.precision import on_device
from ..priors.prior import Prior
from ..protocol.account import Account
from ..protocol.reader import DelegatingReader, Reader, wrap_steps
from ..protocol.steps import Repeated, Steps
from .change import Change, Run


class Observe(Change):
    """Observe other values, whatever the model's own data are.

    Attributes:
        values: What was observed, by the names of the observations; leaves of the model. For an
            observation inside a scan, with a leading axis of steps.
    """

    values: dict[str, Array]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Observe":
        """Make the change; observations that are not named keep their own data."""
        return cls({name: on_device(value, name) for name, value in values.items()})

    def run(self, inner: Run, reader: Reader) -> Account:
        return inner(_ObservingReader(reader, self.values))


class _ObservingReader(DelegatingReader):
    """Returns what was observed, and asks another reader for the rest."""

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        super().__init__(reader)
        self._values = values

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        return self.reader.observe(name, prior, self._values.get(name, value))

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        # It is not known here which of them the scan observes; it reads those that it asks for.
        own = {name: a for name, a in self._values.items() if a.shape[:1] == (length,)}
        return wrap_steps(self.reader.steps(repeated, length, reverse), own, _ObservingReader)
