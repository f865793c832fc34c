"""Warm-up and sampling of parallel tempering: rounds that choose the powers, then draws."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from ..density.chain_starts import Starts, assign_starts, read_starts
from ..density.family import make_family
from ..density.points import Points
from ..density.start import find_starts
from ..density.tempered import Normal, evaluate_ends, make_normal, temper
from ..engines.base import Draws, Tuning
from ..errors import RunError
from ..models.model import Model
from ..numerics.keys import derive_chain_keys, read_key_data
from ..numerics.tempering import choose_level_count, choose_powers, mean_rejections
from .chains import make_tuning
from .devices import plan
from .loop import SAMPLING
from .progress import Progress
from .replicas import Replicas, make_replicas
from .start import prepare_family
from .status import Status
from .tempered import FEWEST_LEVELS, MOST_LEVELS, Tempered

# Levels with which warm-up begins if their number is chosen.
FIRST_LEVELS = 8
# Draws of each chain in the two windows that look for modes, before a normal is fitted: first with
# powers from the smallest to 1 and a wide normal as the reference, then untempered.
SCOUTING, FLATTEST, WIDTH = (20, 60), 0.05, 10.0
# Rounds that choose the powers, each twice as long as the one before; then a window for the step
# sizes alone.
ROUNDS, FINAL = 4, 30
# By default, draws of each chain in all of these.
DEFAULT_WARMUP = 300
MOST_ROWS = 16


class Moments(NamedTuple):
    """Mean and covariance of draws."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass
class Tempering:
    """Parallel tempering of one model; `advance` goes on where an interrupt has stopped it.

    Attributes:
        settings: The settings.
        density: The log density of the posterior.
        starts: Where each chain of a level begins, as `read_starts` returns it.
        replicas: The chains in the present window.
        make: Makes the chains of a window; see `make_replicas`.
        reference: The reference; `None` for the prior.
        windows: Draws per chain in the windows of warm-up still to come, the present one first.
        scouting: How many of them look for modes.
        made: Draws per chain made in warm-up.
        gradients: Gradients computed in warm-up.
        moments: Where chains from many starts ended; `None` if there are none.
    """

    settings: Tempered
    density: Any
    replicas: Replicas
    make: Any
    reference: Normal | None
    windows: tuple[int, ...]
    scouting: int
    made: int = 0
    gradients: int = 0
    moments: Moments | None = None

    def advance(self, draws: int, bar: Progress) -> Replicas:
        """Finish warm-up, and go on until every chain has `draws` draws of its level."""
        bar.later = draws
        while self.windows:
            # The number of chains changes between windows.
            bar.status = Status()
            self._finish_window(bar)
            self._end_window()
        bar.status = Status()
        self._go_on(draws, bar)
        return self.replicas

    def _finish_window(self, bar: Progress) -> None:
        if self.scouting:
            self.replicas.collect(self.windows[0], bar)
        else:
            self._go_on(self.windows[0], bar)

    def _go_on(self, draws: int, bar: Progress) -> None:
        """Alternate draws and turns of swaps; what an interrupt stopped is not done twice."""
        step = self.settings.swap_every
        while self.replicas.turns < draws // step:
            self.replicas.collect((self.replicas.turns + 1) * step, bar)
            self.replicas.swap()
        self.replicas.collect(draws, bar)

    def _end_window(self) -> None:
        """Learn from a window of warm-up, and make the chains of the next one."""
        old, remaining = self.replicas, self.windows[1:]
        tuning, reference = old.learn(remaining), self.reference
        if reference is not None and self.scouting < 2 and remaining:
            self.moments, reference = _fit_reference(self.moments, old, bool(self.scouting))
        powers = self._choose_powers(old, remaining)
        keep = self._find_origins(old, powers)
        window = old.warmup.window + 1 if remaining else SAMPLING
        tuning = jax.tree.map(lambda a: np.asarray(a)[keep], tuning)
        made = self.make(
            reference, powers, old.last_positions()[keep].reshape(-1, self.density.size), tuning,
            window, remaining[0] if remaining else 0,
        )  # fmt: skip
        made.timing = old.timing
        self.gradients += old.executed
        self.made += self.windows[0]
        self.replicas, self.reference = made, reference
        self.windows, self.scouting = remaining, max(self.scouting - 1, 0)

    def _choose_powers(self, old: Replicas, remaining: tuple[int, ...]) -> np.ndarray:
        if not remaining or not (self.scouting or old.turns):
            return old.powers
        if self.scouting:
            last = self.scouting == 1
            return np.linspace(0, 1, len(old.powers)) if last else np.sign(old.powers)
        rejections = mean_rejections(old.powers, np.stack(old.log_ratios))
        levels = self.settings.levels
        if levels == "auto":
            levels = choose_level_count(rejections.sum(), FEWEST_LEVELS, MOST_LEVELS)
        return choose_powers(old.powers, rejections, levels + 1)

    def _find_origins(self, old: Replicas, powers: np.ndarray) -> np.ndarray:
        """Return for each new level the old one whose points and tuning it takes."""
        if self.scouting:
            return np.arange(len(powers) - 1) % (len(old.powers) - 1)
        return np.abs(old.powers[1:, None] - powers[1:]).argmin(0)


def _measure(levels: Sequence[Draws]) -> Moments:
    """Compute the moments of the later half of a window; few draws show no correlations."""
    draws = [own.positions[:, own.positions.shape[1] // 2 :] for own in levels]
    rows = np.concatenate(draws).reshape(-1, draws[0].shape[-1]).astype(np.float64)
    covariance = np.atleast_2d(np.cov(rows.T))
    share = min(1.0, 2 * rows.shape[1] / len(rows))
    scales = np.diag(np.maximum(np.diag(covariance), np.finfo(np.float32).tiny))
    return Moments(rows.mean(0), (1 - share) * covariance + share * scales)


def _fit_reference(
    scouted: Moments | None, replicas: Replicas, scouting: bool
) -> tuple[Moments, Normal]:
    """Fit a normal to where chains from many starts ended, mixed with draws of the posterior.

    The mixture forgets no mode that a chain has found, however few draws the posterior has there.

    Args:
        scouted: Moments of where chains ended.
        replicas: The chains in the present window.
        scouting: Whether these are the chains from many starts.
    """
    levels = replicas.window_draws()
    if scouting or scouted is None:
        scouted = _measure(levels)
        return scouted, make_normal(*scouted)
    own = _measure(levels[-1:])
    apart = 0.5 * (own.mean - scouted.mean)
    covariance = 0.5 * (own.covariance + scouted.covariance) + np.outer(apart, apart)
    return scouted, make_normal(0.5 * (own.mean + scouted.mean), covariance)


def plan_rounds(draws: int) -> tuple[int, ...]:
    """Split warm-up into rounds that double, and a window for the step sizes."""
    final = min(FINAL, max(draws // 10, 1))
    unit = (draws - final) / (2**ROUNDS - 1)
    rounds = [int(unit * 2**i) for i in range(ROUNDS)]
    return (*(own for own in rounds if own), final)


def begin_tempering(
    model: Model, settings: Tempered, *, chains: int, warmup: int | None, starts: Starts | None,
    key: Any, group: int | None, threads: int | None, progress: bool | None,
) -> Tempering:  # fmt: skip
    """Refuse what cannot be tempered, and make the first chains; see `infer.sample`.

    Raises:
        ModelError, EngineError, StartError: As `start` does.
        RunError: Several models are given, or too short a warm-up.
    """
    draws = DEFAULT_WARMUP if warmup is None else warmup
    if draws < 2**ROUNDS:
        raise RunError(
            "warmup",
            f"{draws} draws cannot choose the powers",
            "Give 100 or more, or leave it out.",
        )
    engine, root = settings.engine, read_key_data(key)
    own = prepare_family(make_family(model, jacobian=True), engine)
    density = own.member(0)
    settings.refuse_unless_offered(density)
    levels = FIRST_LEVELS if settings.levels == "auto" else settings.levels
    size, fitted = density.size, settings.reference == "approximation"
    reference, powers = (
        (
            make_normal(np.zeros(size), WIDTH**2 * np.eye(size)),
            np.append(0.0, np.geomspace(FLATTEST, 1.0, levels)),
        )
        if fitted
        # Most of the change from the prior lies at small powers.
        else (None, np.linspace(0.0, 1.0, levels + 1) ** 4)
    )
    scouting = SCOUTING if fitted else ()
    windows = (*scouting, *plan_rounds(draws))
    make = partial(_make, density, settings, root, chains, group, threads, progress)
    family = temper(density, powers[1:], reference)
    how = ("prior" if "parts" in density.offers else "uniform") if starts is None else starts
    # A list has a start for each chain of the posterior; the chains of each level begin there.
    wanted = assign_starts(own, chains, read_starts(how)) * family.count
    points = find_starts(family, derive_chain_keys(root, len(wanted))[1], wanted)[0]
    replicas = make(reference, powers, points, None, 1, windows[0])
    return Tempering(settings, density, replicas, make, reference, windows, len(scouting))


def _make(
    density: Any, settings: Tempered, root: np.ndarray, chains: int, group: int | None,
    threads: int | None, progress: bool | None, reference: Normal | None, powers: np.ndarray,
    points: Points | np.ndarray, tuning: Tuning | None, window: int, draws: int,
) -> Replicas:  # fmt: skip
    """Make the chains of a window, at evaluated points or at positions."""
    family = temper(density, powers[1:], reference)
    own = np.repeat(powers[1:], chains)
    if isinstance(points, np.ndarray):
        target: Any = family.member(0)
        points = evaluate_ends(target, points).at(points, own)
    learned = make_tuning(settings.engine, family, points, None) if tuning is None else tuning
    # Each block sets its rows to zero, so they are few if blocks are short.
    rows = max(MOST_ROWS, settings.swap_every)
    shared = plan(len(own), group, threads)._replace(rows=rows)
    made = make_replicas(
        family, settings.engine, shared, root, points, learned, powers, window, draws
    )
    return replace(made, progress=progress)
