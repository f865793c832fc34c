"""A mode: the best of several searches, with the result of each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...engines.base import Draws
from ...models.html import html_table, rounded
from ...numerics.mode_search import REASONS
from ...numerics.trace import list_recorded_steps
from ...programs.interpreted import call_once
from ...programs.native import call_compiled
from ...run.run import Run
from ..data.values import constrain_rows, split_stacks
from ..finding import Finding
from .curvature import Curvature, invert_curvature, measure_curvature, measure_standard_errors
from .ends import Ends, examine_ends
from .mode import Mode, cluster_ends
from .surroundings import has_point_program

# Why a search ended, if its surroundings show it, by the kind of finding.
SEEN = {
    "flat_density": "flat",
    "saddle_point": "saddle",
    "unbounded_density": "unbounded",
    "mode_at_boundary": "boundary",
}


class Trace(NamedTuple):
    """The path of a search, at 128 to 256 evenly spaced steps, or at every step if there are fewer.

    Attributes:
        step: Index of the step, from 0, shape (n,).
        lp: Log density at the start of the step, in nats, shape (n,); with a minibatch, its
            estimate. It may be lower than at an earlier step; the best position counts.
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
        lp: Log density there in nats, with the Jacobian if `space` is "unconstrained"; NaN if
            the density has no value.
        space: The space in which it is a mode.
        view: What was maximized, as in `LogDensity.view`.
        start: Index of the start whose search found it.
        converged: Whether that search met its stopping rule, at a point from which no rise of the
            log density was found.
        n_steps: Number of steps it took.
        position: The flat unconstrained vector there.
        every_lp: Log density that each start reached, shape (starts,).
        every_converged: Whether each start's search converged.
        every_value: Values that each start reached, with a leading axis of starts.
        every_steepness: Largest |gradient| times max(1, |position|) at each. For a density without
            a value it is unknown which mode is higher: the converged one of least steepness is
            called the best.
        every_trace: Path of each search.
        every_same: Whether each search ended at the same place as the best one, not merely at the
            same height.
        findings: What is wrong with it, and what to do; empty if no problem was found.
        density: The log density.
        reason: Why the best search ended: "converged"; "rounding", if what is left is below the
            rounding of the log density, which counts as converged, with a finding if it is more
            than 0.01 nats; "steps", if it reached
            `max_steps`; "stalled", if no step raised the log density, as at a kink; "unbounded",
            if there is no mode; "boundary", if the mode is at the edge of a set; "saddle"; or
            "flat", if the log density does not fall in some direction.
        every_reason: Why each search ended, by itself; shape (starts,).
        every_decrement: Estimated distance of each end from its mode, in nats; NaN if the optimizer
            does not estimate it.
        n_gradients: Gradients that the best search took.
        reasons: Why there were fewer searches than usual, if so.
        modes: The distinct places where converged searches ended, the highest first, with the share
            of the searches that ended at each; at most 8. Empty with a minibatch or without a
            value.
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
    every_same: np.ndarray
    findings: tuple[Finding, ...]
    density: LogDensity
    reason: str
    every_reason: np.ndarray
    every_decrement: np.ndarray
    n_gradients: int
    reasons: tuple[str, ...]
    modes: tuple[Mode, ...]

    @cached_property
    def curvature(self) -> Curvature:
        """The information matrix of the flat vector, decomposed; computed on request.

        Raises:
            RunError: There are more than 5000 coordinates.
        """
        return measure_curvature(self.density, self.position, "curvature")

    @property
    def hessian(self) -> np.ndarray:
        """Hessian of the log density of the flat vector at the mode, shape (size, size)."""
        return -self.curvature.information

    @property
    def information(self) -> np.ndarray:
        """Observed information: minus the Hessian at the mode, shape (size, size)."""
        return self.curvature.information

    @cached_property
    def standard_errors(self) -> dict[str, np.ndarray]:
        """Standard errors of all latent and derived values, by name, by the delta method.

        They are the standard deviations of a normal approximation around the mode, mapped to the
        values to first order.

        Raises:
            RunError: The information is not positive definite, or there are more than 5000
                coordinates.
        """
        root = invert_curvature(self.density, self.curvature, "standard_errors")
        return measure_standard_errors(self.density, self.position, root)

    @property
    def trace(self) -> Trace:
        """Path of the search that found the best mode."""
        return self.every_trace[self.start]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={rounded(value)}" for name, value in self.values.items())
        return f"Optimum({values}, {', '.join(self._facts())})"

    def _repr_html_(self) -> str:
        rows = [(name, rounded(value)) for name, value in self.values.items()]
        return html_table("Optimum", rows, (*self._facts(), *self.findings))

    def _facts(self) -> list[str]:
        """Describe its height, its view, and how it was reached."""
        found = "converged" if self.converged else f"not converged ({self.reason})"
        count, same = len(self.every_lp), int(self.every_same.sum())
        reached = f"reached from {same} of {count} starts"
        if np.isnan(self.lp):
            reached = (
                f"chosen by gradient, {self.every_converged.sum()} converged of {count} starts"
            )
        return [
            f"lp={self.lp:.6g}",
            f"view={self.view!r}",
            f"{found} in {self.n_steps} steps",
            reached,
            *self.reasons,
        ]


def read_optima(run: Run) -> list[Optimum]:
    """Read the modes that the searches of a run found, one for each density."""
    draws = run.draws()
    # On the host: slices of JAX arrays would compile a program for every leaf of the states.
    states = [jax.tree.map(np.asarray, group.state).unpack() for group in run.groups]
    traces = [
        _read_trace(trace, int(count))
        for state in states
        for trace, count in zip(state.trace, state.n_steps, strict=True)
    ]
    chains = run.chains // run.family.count
    return [
        _choose_optimum(run, index, draws, traces, slice(index * chains, (index + 1) * chains))
        for index in range(run.family.count)
    ]


def _choose_optimum(run: Run, index: int, draws: Draws, traces: list[Trace], own: slice) -> Optimum:
    """Choose the best search of one density, among its `own` ones."""
    engine: Any = run.engine
    density = run.family.member(index)
    positions = draws.positions[own, 0]
    stats: dict[str, Any] = {name: stat[own, 0] for name, stat in draws.stats.items()}
    lp = _evaluate_on_all_rows(density, positions, stats["lp"]).astype(float)
    if density.has_value:
        best = int(np.argmax(np.where(np.isnan(lp), -np.inf, lp)))
    else:
        best = int(np.lexsort((stats["steepness"], ~stats["converged"]))[0])
    stacks = jax.tree.map(np.asarray, call_once(constrain_rows, density, positions))
    every = split_stacks(density, stacks, 1)
    values = {name: np.asarray(value[best]) for name, value in every.items()}
    reached = stats["converged"], stats["reason"], stats["decrement"]
    there = draws.gradients[own, 0][best].astype(float)
    around = there, has_point_program(run)
    ends = Ends(density, engine.max_steps, positions, lp, *reached, best, values, *around)
    same, found = examine_ends(ends)
    reasons = np.array([REASONS[int(code)] for code in stats["reason"]])
    return Optimum(
        values=values,
        lp=float(lp[best]),
        space="unconstrained" if density.jacobian else "constrained",
        view=density.view,
        start=best,
        converged=bool(stats["converged"][best]) and not found.rises,
        n_steps=int(stats["n_steps"][best]),
        position=positions[best],
        every_lp=lp,
        every_converged=stats["converged"],
        every_value=every,
        every_steepness=stats["steepness"],
        every_trace=tuple(traces[own]),
        every_same=same,
        findings=found.findings,
        density=density,
        reason=_choose_reason(str(reasons[best]), found.findings),
        every_reason=reasons,
        every_decrement=stats["decrement"],
        n_gradients=int(stats["n_gradients"][best]),
        reasons=run.reasons,
        modes=_list_modes(ends, every),
    )


def _choose_reason(reason: str, findings: tuple[Finding, ...]) -> str:
    """Return why a search ended, as its surroundings show; the search itself sees only its path."""
    found = [SEEN[finding.kind] for finding in findings if finding.kind in SEEN]
    return found[0] if found else reason


def _list_modes(ends: Ends, every: dict[str, np.ndarray]) -> tuple[Mode, ...]:
    """List the distinct places where converged searches ended, the highest first."""
    density, count = ends.density, len(ends.lp)
    if "minibatch" in density.offers or not density.has_value:
        return ()
    groups = cluster_ends(density, ends.positions, ends.lp, ends.converged, ends.on_host)
    return tuple(
        Mode(
            density,
            {name: np.asarray(value[own[0]]) for name, value in every.items()},
            float(ends.lp[own[0]]),
            ends.positions[own[0]],
            tuple(int(i) for i in np.sort(own)),
            len(own) / count,
            distance,
        )
        for own, distance in groups
    )


def _read_trace(noted: Array | np.ndarray, count: int) -> Trace:
    steps = list_recorded_steps(count)
    return Trace(steps, *np.asarray(noted)[:, : len(steps)])


def _evaluate_on_all_rows(
    density: LogDensity, positions: np.ndarray, found: np.ndarray
) -> np.ndarray:
    """Evaluate on all rows of the data, if the search saw minibatches."""
    if "minibatch" not in density.offers or not density.has_value:
        return found
    return np.asarray(call_compiled(_map_density, density, positions))


def _map_density(density: LogDensity, positions: Array | np.ndarray) -> Array:
    return jax.lax.map(density, positions)
