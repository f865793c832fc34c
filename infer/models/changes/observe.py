"""A model of which the observations are others, such as simulated ones."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Array

from bijectors.base import Image

from ..inputs.precision import on_device
from ..model import Model
from ..priors.prior import Prior
from ..protocol.account import Account
from ..protocol.minibatch import Minibatch
from ..protocol.reader import Reader
from ..protocol.steps import Repeated, Steps
from .change import Wrapper


class Observing(Wrapper):
    """A model that observed other values, whatever its own data say.

    Attributes:
        values: What was observed, by the names of the observations; leaves of the program. Of an
            observation that each step of a scan makes, with an axis of steps in front.
    """

    values: dict[str, Array]

    def run(self, reader: Reader) -> Account:
        return self.model.run(_Observer(reader, self.values))


class _Observer(Reader):
    """Says what was observed, and asks another reader for the rest."""

    def __init__(self, reader: Reader, values: Mapping[str, Array]) -> None:
        self.reader, self._values = reader, values

    def take(self, declaration: Any) -> Image:
        return self.reader.take(declaration)

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self.reader.rows(minibatch)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        return self.reader.observe(name, prior, self._values.get(name, value))

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        # Which of them the scan observes is not known here: what it does not ask for is not read.
        own = {name: a for name, a in self._values.items() if a.shape[:1] == (length,)}
        inner = self.reader.steps(repeated, length)
        opened = lambda x: _Observer(inner.reader(x[0]), x[1])  # noqa: E731
        report = lambda observer: inner.report(observer.reader)  # noqa: E731
        return Steps((inner.xs, own), opened, report, inner.close)


def observing(model: Model, values: Mapping[str, Any]) -> Observing:
    """Replace what a model observed.

    Args:
        model: What a front end returned.
        values: New values of its observations, by name; of those not named, its own stay.
    """
    arrays = {name: on_device(value, name) for name, value in values.items()}
    return Observing(model.labels, model.rules, model, arrays)
