"""A target is a log density of one flat vector: all that an engine knows of a model."""

from abc import abstractmethod

import equinox as eqx

from .types import Scalar, Vector


class Target(eqx.Module):
    """An unnormalised log density over vectors of shape (size,), in nats.

    Its leaves are the data, so that new data of the same shape compile nothing.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Length of the vector."""

    @property
    @abstractmethod
    def offers(self) -> frozenset[str]:
        """What can be asked of it: "value", "gradient". Compared with `Engine.needs`."""

    @abstractmethod
    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        """Compute the log density in nats and its gradient.

        A non-finite result is passed on, not raised: engines report it as a divergence.
        """
