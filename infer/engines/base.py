"""The contract of an engine: plan_warmup, first_tuning, init, enter, tick, end_window."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from ..target import Components, Target
from ..types import Vector
from .contract import refuse_other_contract
from .settings import refuse_settings

State = Any
Tuning = Any

# The axis along which the chains of a population communicate, by JAX's collectives.
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


class Needs(NamedTuple):
    """What an engine needs of its target and of the starts.

    Attributes:
        value: The log density has a value.
        gradient: It has a gradient.
        parts: Prior and likelihood can be evaluated separately.
        normal_prior: The prior is a normal distribution in the flat vector.
        exact: Value and gradient are exact. An engine that does not need this also takes
            estimates from minibatches, which differ from tick to tick.
        jacobian: The log density includes the log-determinants of the maps.
        prior_starts: All chains start at draws from the prior.
    """

    value: bool = True
    gradient: bool = True
    parts: bool = False
    normal_prior: bool = False
    exact: bool = True
    jacobian: bool = True
    prior_starts: bool = False

    def missing(self, offers: frozenset[str]) -> frozenset[str]:
        """Return the needs that a target with these `offers` does not meet."""
        needed = {
            name for name in ("value", "gradient", "parts", "normal_prior") if getattr(self, name)
        }
        return frozenset(needed - offers)


class WarmupPlan(NamedTuple):
    """How long warm-up is, and where it is split.

    Attributes:
        draws: Maximum number of draws per chain.
        windows: Draws per chain in each window; all chains meet at the end of a window.
        scout_draws: Draws that a chain from another start needs to leave the tails; 0 sends no
            scouts. If warm-up would end early and its last window has at least this many draws,
            as many chains again make that window from other starts. `Engine.end_window` is then
            called with all of them together, to relocate those that ended in a region of
            negligible mass.
        recenters: Whether the coordinates may change at the end of a window; `init` then makes
            new states from the gradients and log densities `lp` of the draws.
        is_brief: Whether the run likely takes some hundred ticks, fewer than compiling is worth.
    """

    draws: int
    windows: tuple[int, ...]
    scout_draws: int = 0
    recenters: bool = False
    is_brief: bool = False


def one_window(draws: int) -> WarmupPlan:
    """Return a warm-up that is not split."""
    return WarmupPlan(draws, (draws,) if draws else ())


class WindowEnd(NamedTuple):
    """What an engine decides at the end of a window of warm-up.

    Attributes:
        tuning: The tuning of the next window.
        windows: Draws per chain in each window still to come.
        relocation: For each chain the index of the chain whose state it continues from, shape
            (chains,); `None` leaves every chain where it is.
    """

    tuning: Tuning
    windows: tuple[int, ...]
    relocation: np.ndarray | None = None


class Examples(NamedTuple):
    """Settings with which the tests of the contract make an engine.

    Attributes:
        valid: Values for the settings that have no default.
        invalid: Values that the engine must refuse with an `EngineError`.
    """

    valid: Mapping[str, Any] = {}
    invalid: Mapping[str, Any] = {}


class Engine(ABC):
    """A state machine; its instances are frozen dataclasses of settings.

    Only settings that change the program take part in equality; the rest go into the
    tuning, which is traced, so that changing them compiles nothing.

    Attributes:
        result: What the draws of the engine are: draws from the posterior, modes, or the
            parameters of an approximation.
        scope: What moves independently: each chain, or all chains of a density together as a
            population. The chains of a population run in one program, in step with each other,
            and its `enter` and `tick` may communicate along the axis `CHAINS`.
        without_value: How to write the engine so that it needs no value of the log density;
            empty if it cannot do without.
        examples: Settings for the tests of the contract.
    """

    result: ClassVar[Literal["draws", "optimum", "approximation"]] = "draws"
    scope: ClassVar[Literal["chain", "population"]] = "chain"
    without_value: ClassVar[str] = ""
    examples: ClassVar[Examples] = Examples()

    def __new__(cls, *settings: Any, **named: Any):
        """Refuse unknown settings, and settings that are not numbers but should be.

        Raises:
            CallError: There is no such setting; the message suggests the closest name.
            EngineError: A setting is of the wrong type.
        """
        refuse_settings(cls, settings, named)
        return super().__new__(cls)

    def __init_subclass__(cls, **options: Any):
        """Refuse members that the contract does not call as they are, with an `EngineError`."""
        super().__init_subclass__(**options)
        refuse_other_contract(cls, Engine)

    @property
    def needs(self) -> Needs:
        """What the engine needs of its target and of the starts."""
        return Needs()

    @abstractmethod
    def plan_warmup(self, chains: int, draws: int | None = None) -> WarmupPlan:
        """Plan a warm-up of `draws` draws per chain, or of the engine's default number.

        Args:
            chains: Number of chains of each density.
            draws: Draws per chain; `None` chooses the default for this number of chains.
        """

    @abstractmethod
    def first_tuning(self, target: Target, positions: np.ndarray, gradients: np.ndarray) -> Tuning:
        """Make the first tuning, on the host.

        Args:
            target: The log density.
            positions: All starts, shape (chains, size).
            gradients: Gradients there, shape (chains, size).
        """

    def reuse(self, learned: Tuning, fresh: Tuning) -> Tuning:
        """Return the tuning of an earlier run with this engine's own settings from `fresh`."""
        return learned

    @abstractmethod
    def init(self, position: Vector, here: Components) -> State:
        """Make the state of one chain; traced.

        Args:
            position: Where it starts, shape (size,).
            here: The log density there. If only a part of it has a value, `here.value` is the
                value of that part.
        """

    def enter(self, tuning: Tuning, state: State, warming: Bool[Array, ""]) -> State:
        """Prepare the state for a new window; traced.

        Args:
            tuning: The tuning of this window.
            state: The state of this chain.
            warming: Whether the window belongs to warm-up.
        """
        return state

    @abstractmethod
    def tick(self, key: Array, target: Target, tuning: Tuning, state: State) -> tuple[State, Tick]:
        """Advance one chain by one gradient; traced.

        Args:
            key: Belongs to (seed, chain, window, draw): the same at every tick of a draw.
            target: The log density.
            tuning: Shared by all chains of a window.
            state: The state of this chain.
        """

    def end_window(
        self, tuning: Tuning, recent: Sequence[Draws], windows: tuple[int, ...]
    ) -> WindowEnd:
        """Learn from a window of warm-up, on the host; by default nothing.

        Args:
            tuning: The tuning of that window.
            recent: The last one or two windows, of all chains in chain order.
            windows: Draws per chain in each window that is still planned; if there is none,
                sampling comes next.
        """
        return WindowEnd(tuning, windows)
