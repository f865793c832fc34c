"""A reader decides what a run of a model means: it supplies the values of the latent sites."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from jaxtyping import Array

from bijectors.base import Image

from ...errors import ModelError
from ..priors.prior import Prior
from .minibatch import Minibatch
from .site import Declaration
from .steps import Repeated, Steps


class Reader(ABC):
    """Supplies the values of latent sites to a running model."""

    @abstractmethod
    def take(self, declaration: Declaration) -> Image:
        """Return the value of the next latent site, with its map's by-products."""

    def discrete(self, declaration: Declaration) -> Array | None:
        """Return the value of a discrete site; `None` to sum over all of its values."""
        return None

    def rows(self, minibatch: Minibatch) -> Array | None:
        """Return which rows of a plate are seen; `None` for all of them."""
        return None

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        """Return what is observed: the data, unless the reader replaces them."""
        return value

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        """Serve the steps of a scan, which take the `repeated` sites; last first if `reverse`."""
        raise ModelError("scan", f"{type(self).__name__} reads no scan", "Override Reader.steps.")


class DelegatingReader(Reader):
    """Passes every request on to another reader; a subclass answers some of them itself.

    Attributes:
        reader: The other reader.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def take(self, declaration: Declaration) -> Image:
        return self.reader.take(declaration)

    def discrete(self, declaration: Declaration) -> Array | None:
        return self.reader.discrete(declaration)

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self.reader.rows(minibatch)

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        return self.reader.observe(name, prior, value)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        """Let the other reader alone serve the steps of a scan."""
        return self.reader.steps(repeated, length, reverse)


def wrap_steps(steps: Steps, own: Any, wrap: Callable[[Reader, Any], DelegatingReader]) -> Steps:
    """Wrap the reader of each step of a scan.

    Args:
        steps: How another reader serves the steps.
        own: Arrays whose rows, along a leading axis of steps, the wrappers are given.
        wrap: Makes the wrapper of one step, from the reader inside and its row of `own`.
    """
    return steps._replace(
        xs=(steps.xs, own),
        reader=lambda given: wrap(steps.reader(given[0]), given[1]),
        report=lambda wrapper: steps.report(wrapper.reader),
    )
