"""The contract of an engine: init, enter, tick, retune, finish."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..calls import refuse_misfit
from ..counts import is_whole
from ..errors import EngineError
from ..target import Components, Target
from ..types import Scalar, Vector

State = Any
Tuning = Any

# The axis that the chains of a population share, for JAX's collectives inside a tick.
CHAINS = "chains"


class Tick(NamedTuple):
    """What one tick of one chain reports.

    Attributes:
        complete: Whether this tick completed a draw; only then is the rest recorded.
        position: The draw, shape (width,).
        gradient: Gradient of the target there, shape (size,), or empty, shape (0,).
        stats: Scalars by ArviZ's names.
    """

    complete: Bool[Array, ""]
    position: Float[Array, "width"]
    gradient: Float[Array, "n"]
    stats: dict[str, Array]


class Draws(NamedTuple):
    """Draws of all chains, on the host.

    Attributes:
        positions: Shape (chains, draws, width).
        gradients: Shape (chains, draws, size), or (chains, draws, 0).
        stats: Each of shape (chains, draws).
    """

    positions: np.ndarray
    gradients: np.ndarray
    stats: dict[str, np.ndarray]


def refuse_settings(
    engine: type["Engine"], settings: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Raise if an engine does not take some settings, of those that are given."""
    wanted = signature(engine.__init__)
    try:
        given = wanted.bind_partial(None, *settings, **named).arguments
    except TypeError:
        refuse_misfit(engine.__name__, wanted, (None, *settings), named)
        raise
    for name, value in given.items():
        kind = wanted.parameters[name].annotation
        if kind in (int, int | None) and value is not None and not _is_count(value):
            raise EngineError(engine.__name__, f"{name} is {value!r}", "Give a whole number.")
        if kind in (float, float | None) and value is not None and not _is_number(value):
            raise EngineError(engine.__name__, f"{name} is {value!r}", "Give a number.")


def _is_count(value: Any) -> bool:
    # Settings hash, so they are no arrays.
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    floats = getattr(value, "dtype", None) is not None and np.shape(value) == ()
    floats = floats and jnp.issubdtype(value.dtype, jnp.floating)
    return isinstance(value, float) or floats or is_whole(value)


class Engine(ABC):
    """A state machine; its instances are frozen dataclasses of settings.

    Only settings that change the program take part in equality; the rest go into the
    tuning, which is traced, so that changing them compiles nothing.

    Attributes:
        without_value: How to write the engine so that it needs no value of the log density;
            empty where it cannot do without.
    """

    without_value: ClassVar[str] = ""

    def __new__(cls, *settings: Any, **named: Any):
        """Refuse settings that it does not have, or that are no numbers where numbers belong.

        Raises:
            CallError: It has no such setting; the message names the one that was meant.
            EngineError: A setting is of another kind.
        """
        refuse_settings(cls, settings, named)
        return super().__new__(cls)

    @property
    def needs(self) -> frozenset[str]:
        """What the target must offer."""
        return frozenset({"value", "gradient"})

    @property
    def takes_minibatches(self) -> bool:
        """Whether it works where value and gradient are estimates, new ones at every tick."""
        return False

    @property
    def scope(self) -> Literal["chain", "population"]:
        """What moves by itself: each chain, or all chains of a density together.

        The chains of a population run in one program, in step with each other, and `enter` and
        `tick` may speak to the others along the axis `CHAINS`.
        """
        return "chain"

    @property
    def from_prior(self) -> bool:
        """Whether its chains begin as draws from the prior, and nowhere else."""
        return False

    @property
    def jacobian(self) -> bool:
        """Whether the target includes the maps' log-determinants."""
        return True

    @property
    @abstractmethod
    def default_warmup(self) -> int:
        """Warm-up draws per chain where the user names no number, of a few chains."""

    def warmup_for(self, chains: int) -> int:
        """Warm-up draws per chain where the user names no number, of so many chains."""
        return self.default_warmup

    @abstractmethod
    def windows(self, warmup: int) -> tuple[int, ...]:
        """Split `warmup` draws into windows, at whose ends the chains meet."""

    def prepared(self, targets: Sequence[Target]) -> "Engine":
        """Take over, on the host, what only the targets can tell; itself by default.

        What changes may not take part in equality.
        """
        return self

    @abstractmethod
    def first_tuning(self, positions: np.ndarray, gradients: np.ndarray) -> Tuning:
        """Make the first tuning from all starts, of shape (chains, size), on the host."""

    def reuse(self, learned: Tuning, fresh: Tuning) -> Tuning:
        """Take over what an earlier run learned, and this engine's own settings from `fresh`."""
        return learned

    @abstractmethod
    def init(self, position: Vector, log_density: Scalar, gradient: Vector) -> State:
        """Make the state of one chain at an evaluated point."""

    def init_unvalued(self, position: Vector, here: Components) -> State:
        """Make the state of one chain where the target has no value: for it stands NaN."""
        return self.init(position, jnp.full_like(here.value, jnp.nan), here.gradient)

    @abstractmethod
    def enter(self, tuning: Tuning, state: State, warming: Bool[Array, ""]) -> State:
        """Prepare the state for a new window; traced.

        Args:
            tuning: Of this window.
            state: Of this chain.
            warming: Whether the window belongs to warm-up.
        """

    @abstractmethod
    def tick(self, key: Array, target: Target, tuning: Tuning, state: State) -> tuple[State, Tick]:
        """Advance one chain by one gradient; traced.

        Args:
            key: Belongs to (seed, chain, window, draw): the same at every tick of a draw.
            target: The log density.
            tuning: Shared by all chains of a window.
            state: Of this chain.
        """

    @abstractmethod
    def retune(self, tuning: Tuning, recent: Sequence[Draws], remaining: int) -> Tuning:
        """Learn from a window's end, on the host.

        Args:
            tuning: In use so far.
            recent: The last two windows, or one, of all chains in chain order.
            remaining: Windows of warm-up still to come; at 0, sampling is next.
        """

    def places(self, tuning: Tuning, recent: Sequence[Draws], remaining: int) -> np.ndarray:
        """Tell for each chain whose state it goes on from after a window of warm-up: its own.

        Args:
            tuning: In use in that window.
            recent: As in `retune`.
            remaining: As in `retune`.

        Returns:
            A chain for each chain, shape (chains,).
        """
        return np.arange(len(recent[-1].positions))

    @property
    def scouted(self) -> int:
        """Draws in which a chain from another start finds out of the tails; 0 sends none to look.

        Where warm-up would end early, with a last window of so many draws or more, as many chains
        again make it from other starts. `places` is then asked about all of them together, whether
        any has found where more is, or has ended where next to nothing is.
        """
        return 0

    def still(self, tuning: Tuning, done: int, windows: tuple[int, ...]) -> tuple[int, ...]:
        """Choose the windows to come: those planned that are worth their draws, or others.

        Args:
            tuning: Learned from the window done.
            done: Draws per chain in it.
            windows: Draws per chain of those still planned.
        """
        return windows

    def finish(self, draws: Draws) -> Draws:
        """Do what is done once, after the last draw, on the host."""
        return draws
