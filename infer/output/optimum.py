"""A mode: the best of several searches, with what each of them found."""

from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from ..density.base import LogDensity
from ..engines.map import MAP
from ..run.run import Run
from .values import constrained


@dataclass(frozen=True)
class Optimum:
    """The mode of a posterior.

    Attributes:
        values: Constrained and derived values at the best mode, by name.
        lp: Log density there in nats, with the Jacobian if `space` is "unconstrained"; NaN of
            a density that has no value.
        space: In which space it is a mode.
        view: What was maximised, as `LogDensity.view` says it.
        converged: Whether that search met its stop rule.
        n_steps: Steps it took.
        position: The flat unconstrained vector there.
        every_lp: Log density that each start reached, shape (starts,).
        every_converged: Whether each start's search converged.
        every_value: Values that each start reached, with a leading axis of starts.
        every_steepness: Largest |gradient| times max(1, |position|) at each. A density without a
            value cannot tell which mode is higher: the converged one of least steepness is
            called the best.
    """

    values: dict[str, np.ndarray]
    lp: float
    space: str
    view: str
    converged: bool
    n_steps: int
    position: np.ndarray
    every_lp: np.ndarray
    every_converged: np.ndarray
    every_value: dict[str, np.ndarray]
    every_steepness: np.ndarray

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
        converged=bool(stats["converged"][best]),
        n_steps=int(stats["n_steps"][best]),
        position=positions[best],
        every_lp=lp,
        every_converged=stats["converged"],
        every_value=every,
        every_steepness=stats["steepness"],
    )


def _log_densities(run: Run, positions: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Evaluate on all rows what the search saw minibatches of."""
    if "minibatch" not in run.density.offers or not run.density.has_value:
        return found
    return np.asarray(_in_turn(run.density, positions))


@eqx.filter_jit
def _in_turn(density: LogDensity, positions: Array | np.ndarray) -> Array:
    return jax.lax.map(density, positions)
