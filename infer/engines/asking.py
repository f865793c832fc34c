"""An engine whose tick takes one gradient, which a program of its own may compute."""

from abc import abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Array

from ..numerics.namespace import Scalar, Vector
from ..target import Components, Target
from .base import Engine, State, Tick, Tuning


class AskingEngine(Engine):
    """An engine that needs the log density at one point per tick, which others may compute.

    `ask` returns the point, and `tell` takes the log density there. Both are traced, with the state
    of `init`; or called on the host, with that of `begin`, whose arrays are those of NumPy and may
    be changed in place. So a run may evaluate the density by a program that exists already, and
    compile nothing for the engine; see `run.stepped`.
    """

    @property
    def asks(self) -> bool:
        """Whether this engine, with its settings, works in this way."""
        return True

    @abstractmethod
    def begin(self, position: np.ndarray, here: Components) -> State:
        """Do as `init` does, on the host; the state has arrays or numbers of NumPy as leaves."""

    @abstractmethod
    def ask(self, state: State) -> Vector:
        """Return where the next tick evaluates the log density, shape (size,)."""

    @abstractmethod
    def tell(
        self, tuning: Tuning, state: State, log_density: Scalar, gradient: Vector
    ) -> tuple[State, Tick]:
        """Advance one chain by the log density in nats and the gradient there."""

    def tick(self, key: Array, target: Target, tuning: Any, state: State) -> tuple[State, Tick]:
        return self.tell(tuning, state, *target.evaluate(self.ask(state)))
