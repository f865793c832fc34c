"""An engine whose tick takes one gradient, which a program of its own may compute."""

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array

from ..numerics.namespace import Scalar, Vector
from ..target import Components, Target
from .base import Engine, State, Tick, Tuning


class Best(NamedTuple):
    """The best point of a chain so far, on the host.

    Attributes:
        position: Shape (size,).
        value: Log density there in nats, shape ().
        gradient: Shape (size,).
        n_gradients: Gradients that the chain has taken.
    """

    position: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    n_gradients: int


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

    @abstractmethod
    def best(self, state: State) -> Best:
        """Return the best point so far of a state of either kind, whose arrays are NumPy's."""

    @abstractmethod
    def to_loop(self, state: State) -> State:
        """Return a state of `begin` as one of `init`, to go on in a compiled loop."""

    @abstractmethod
    def to_host(self, state: State) -> State:
        """Undo `to_loop` without loss, for keeping a state, but not for `ask` and `tell`."""

    def tick(self, key: Array, target: Target, tuning: Any, state: State) -> tuple[State, Tick]:
        return self.tell(tuning, state, *target.evaluate(self.ask(state)))
