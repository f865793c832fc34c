"""A mode: the best of several searches, with what each of them found."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from ..density.base import LogDensity
from ..engines.map import MAP
from ..numerics.trace import steps_noted
from ..run.run import Run
from .values import constrained


class Trace(NamedTuple):
    """What a search met on its way, at 128 to 256 evenly spaced steps, or at each of fewer.

    Attributes:
        step: Steps counted from 0, shape (n,).
        lp: Log density where each began, in nats, shape (n,); of a minibatch, its estimate.
            It may lie below that of an earlier step; the best position counts.
        steepness: Largest |gradient| times max(1, |position|) there, shape (n,).
    """

    step: np.ndarray
    lp: np.ndarray
    steepness: np.ndarray


@dataclass(frozen=True)
class Optimum:
    """The mode of a posterior.

    Attributes:
        values: Constrained and derived values at the best mode, by name.
        lp: Log density there in nats, with the Jacobian if `space` is "unconstrained"; NaN of
            a density that has no value.
        space: In which space it is a mode.
        view: What was maximised, as `LogDensity.view` says it.
        start: Which start's search found it.
        converged: Whether that search met its stop rule.
        n_steps: Steps it took.
        position: The flat unconstrained vector there.
        every_lp: Log density that each start reached, shape (starts,).
        every_converged: Whether each start's search converged.
        every_value: Values that each start reached, with a leading axis of starts.
        every_steepness: Largest |gradient| times max(1, |position|) at each. A density without a
            value cannot tell which mode is higher: the converged one of least steepness is
            called the best.
        every_trace: What each search met on its way.
    """

    values: dict[str, np.ndarray]
    lp: float
    space: str
    view: str
    start: int
    converged: bool
    n_steps: int
    position: np.ndarray
    every_lp: np.ndarray
    every_converged: np.ndarray
    every_value: dict[str, np.ndarray]
    every_steepness: np.ndarray
    every_trace: tuple[Trace, ...]

    @property
    def trace(self) -> Trace:
        """What the search that found the best mode met on its way."""
        return self.every_trace[self.start]

    def __repr__(self) -> str:
        found = "converged" if self.converged else "not converged"
        if np.isnan(self.lp):
            reached = f"chosen by gradient, {int(self.every_converged.sum())} converged"
        else:
            near = self.every_lp > self.lp - 1e-2 - 1e-6 * abs(self.lp)
            reached = f"reached from {int(near.sum())}"
        values = ", ".join(f"{n}={np.round(v, 4).tolist()}" for n, v in self.values.items())
        return (
            f"Optimum({values}, lp={self.lp:.6g}, view={self.view!r}, {found} in "
            f"{self.n_steps} steps, {reached} of {len(self.every_lp)} starts)"
        )


def optimum_of(run: Run) -> Optimum:
    """Read the modes that the searches of a run found."""
    assert isinstance(run.engine, MAP)
    draws = run.draws()
    positions = draws.positions[:, 0]
    lp = _log_densities(run, positions, draws.stats["lp"][:, 0]).astype(float)
    stats: dict[str, Any] = {name: stat[:, 0] for name, stat in draws.stats.items()}
    if run.density.has_value:
        best = int(np.argmax(np.where(np.isnan(lp), -np.inf, lp)))
    else:
        best = int(np.lexsort((stats["steepness"], ~stats["converged"]))[0])
    every = constrained(run.density, positions)
    return Optimum(
        values={name: np.asarray(value[best]) for name, value in every.items()},
        lp=float(lp[best]),
        space=run.engine.space,
        view=run.density.view,
        start=best,
        converged=bool(stats["converged"][best]),
        n_steps=int(stats["n_steps"][best]),
        position=positions[best],
        every_lp=lp,
        every_converged=stats["converged"],
        every_value=every,
        every_steepness=stats["steepness"],
        every_trace=tuple(
            _trace(trace, int(count))
            for state in (group.state.unpacked() for group in run.groups)
            for trace, count in zip(state.trace, state.n_steps, strict=True)
        ),
    )


def _trace(noted: Array | np.ndarray, count: int) -> Trace:
    steps = steps_noted(count)
    return Trace(steps, *np.asarray(noted)[:, : len(steps)])


def _log_densities(run: Run, positions: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Evaluate on all rows what the search saw minibatches of."""
    if "minibatch" not in run.density.offers or not run.density.has_value:
        return found
    return np.asarray(_in_turn(run.density, positions))


@eqx.filter_jit
def _in_turn(density: LogDensity, positions: Array | np.ndarray) -> Array:
    return jax.lax.map(density, positions)
