"""The pre-flight check: an ordered list of named questions, each with a remedy."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..calls import check_arguments
from ..counts import as_whole
from ..errors import ModelError
from ..models.inputs.names import join_names
from ..models.model import Model
from ..models.survey import survey
from ..programs.native import call_compiled
from ..types import Vector
from .base import LogDensity, log_density
from .family import singleton
from .gathers import check_indices
from .maps import MEND as MAPS_MEND, check_maps
from .points import Points
from .repeats import MEND as SAME_MEND, refuse_unless_deterministic
from .slices import find_slices
from .slopes import MEND as SLOPES_MEND, STEPS, draw_directions, slope_tolerance
from .start import find_starts
from .unused import unused_coords, unused_data

# Number of points at which questions are asked.
POINTS = 4


class Finding(NamedTuple):
    """The answer to one question of the check.

    Attributes:
        name: Name of the check.
        question: The question.
        passed: Whether the model passed.
        detail: What was found.
        mend: What to do about it; empty if the model passed.
    """

    name: str
    question: str
    passed: bool
    detail: str
    mend: str

    def __str__(self) -> str:
        answer = "passed" if self.passed else "FAILED"
        return f"{answer}  {self.name}: {self.question} {self.detail} {self.mend}".rstrip()


@dataclass
class Trial:
    """A model being checked, with what the questions share.

    Attributes:
        model: The model.
        seed: Seed of the points.
    """

    model: Model
    seed: int

    @cached_property
    def density(self) -> LogDensity:
        """The log density, with its Jacobian."""
        return log_density(self.model)

    @cached_property
    def points(self) -> Points:
        """A few points where the density and its gradient are finite."""
        key = np.array([0, self.seed], np.uint32)
        return find_starts(singleton(self.density), key, ["uniform"] * POINTS)[0]

    @property
    def point(self) -> Vector:
        """The first of them."""
        return jnp.asarray(self.points.positions[0])


@dataclass(frozen=True)
class Check:
    """One question to a model.

    Attributes:
        name: Name in the docs and findings.
        question: The question.
        ask: Returns what was found, or raises.
        mend: What to do if it fails and the error itself does not say.
    """

    name: str
    question: str
    ask: Callable[[Trial], str]
    mend: str

    def answer(self, trial: Trial) -> Finding:
        """Answer the question for a model."""
        try:
            return Finding(self.name, self.question, True, self.ask(trial), "")
        except Exception as error:  # noqa: BLE001 - any error of the user's function is the answer
            where, found = (
                getattr(error, "where", type(error).__name__),
                getattr(error, "found", ""),
            )
            mend = " ".join([getattr(error, "mend", self.mend), *getattr(error, "__notes__", [])])
            return Finding(self.name, self.question, False, f"{where}: {found or error}.", mend)


@check_arguments("infer.check")
def check(model: Model, seed: int = 0) -> list[Finding]:
    """Check a model for problems that would stop or spoil a run, without raising.

    The questions of `CHECKS` are asked in order, up to the first that fails, since later ones
    depend on it.

    Args:
        model: What a front end returned, or a view of it.
        seed: Seed of the trial points.

    Returns:
        The findings, in order; each prints as one line.
    """
    trial, findings = Trial(model, as_whole("seed", seed, 0)), []
    for question in CHECKS:
        findings.append(question.answer(trial))
        if not findings[-1].passed:
            break
    return findings


def _ask_sites(trial: Trial) -> str:
    latent = [site for site in survey(trial.model) if site.role == "latent"]
    return ", ".join(f"{site.name}{list(site.shape)}" for site in latent)


def _ask_gathers(trial: Trial) -> str:
    return f"{check_indices(trial.model)} indices checked"


def _ask_log_determinants(trial: Trial) -> str:
    maps = {site.bijector for site in trial.density.latent}
    return f"{len(trial.density.latent)} sites, maps: {', '.join(sorted(maps))}"


def _ask_start(trial: Trial) -> str:
    lowest, highest = trial.points.log_densities.min(), trial.points.log_densities.max()
    return f"size {trial.density.size}, log density from {lowest:.4g} to {highest:.4g}"


def _ask_same(trial: Trial) -> str:
    return f"{refuse_unless_deterministic(trial.density, trial.point):.6g}"


def _ask_maps(trial: Trial) -> str:
    return check_maps(trial.density, trial.point)


def _ask_slopes(trial: Trial) -> str:
    density = trial.density
    if not density.gradient:
        return "none to compare"
    rows = draw_directions(density, trial.seed)
    by_gradient, by_steps = jax.tree.map(
        np.asarray, call_compiled(_slope_along, density, trial.point, rows)
    )
    error = slope_tolerance(by_gradient, trial.points.log_densities[:1], STEPS)
    fits = (np.abs(by_steps - by_gradient[:, None]) <= error).any(1)
    if not fits.all():
        worst = int(np.argmin(fits))
        found = (
            f"its slope is {by_gradient[worst]:.4g} by the gradient of the log density, but "
            f"{by_steps[worst, 1]:.4g} by finite differences"
        )
        raise ModelError(density.latent[worst].name, found, SLOPES_MEND)
    return f"along {len(fits)} directions"


def _slope_along(density: LogDensity, point: Vector, rows: Any) -> tuple[Array, Array]:
    """Compute slopes along directions by the gradient, shape (directions,), and by each step.

    Only terms that have a value count.
    """
    here = density.components(point)
    gradient = here.gradient - here.unvalued_gradient
    value = lambda q: density.components(q).value  # noqa: E731
    rows = jnp.asarray(rows, point.dtype)

    def by_step(direction: Array) -> Array:
        ends = [[value(point + sign * step * direction) for sign in (1, -1)] for step in STEPS]
        return jnp.stack([(up - down) / (2 * h) for (up, down), h in zip(ends, STEPS, strict=True)])

    return rows @ gradient, jax.lax.map(by_step, rows)


def _evaluate_gradients(density: LogDensity, positions: Any) -> Array:
    return jax.vmap(lambda position: density.evaluate(position)[1])(positions)


def _ask_data(trial: Trial) -> str:
    idle = [*unused_data(trial.model), *unused_coords(trial.model)]
    if idle:
        raise ModelError(join_names(idle), "nothing in the model depends on this", _DATA_MEND)
    return "all of them"


def _ask_used(trial: Trial) -> str:
    """Raise if a site without a prior is in no term, so that it may be anywhere in its set."""
    mode = trial.density.gradient
    if not mode:
        return "not known without a gradient"
    density = LogDensity(trial.model, trial.density.sites, jacobian=False, gradient=mode)
    gradients = call_compiled(_evaluate_gradients, density, trial.points.positions)
    moved: np.ndarray = np.any(np.asarray(gradients) != 0, axis=0)
    slices = find_slices(density.latent)
    for name in density.without_prior:
        own = moved[slices[name]]
        if own.size and not own.any():
            raise ModelError(name, "it has no prior, and no term depends on it", _USED_MEND)
    return "all of them"


_DATA_MEND = "Use it, for example in site.observe or dims=, or leave it out."
_USED_MEND = "Use it, give it a prior, or remove it."
# In the order they are asked; each depends on those before it.
CHECKS = (
    Check(
        "sites",
        "does the model run, with latent sites?",
        _ask_sites,
        "Call the model's function yourself: the error comes from there.",
    ),
    Check(
        "gathers",
        "are all indices in the data within range?",
        _ask_gathers,
        "Indices run from 0 to the size of the axis minus 1.",
    ),
    Check(
        "log-determinants",
        "does every map have a log-determinant?",
        _ask_log_determinants,
        'Freeze such sites, or find the mode with MAP(space="constrained").',
    ),
    Check(
        "start",
        "is there a start where the log density and its gradient are finite?",
        _ask_start,
        "Give starting values, or weaker constraints.",
    ),
    Check("same", "does the model give the same log density when run again?", _ask_same, SAME_MEND),
    Check(
        "maps",
        "do values stay in their sets, survive a round trip, and have the right log-determinant?",
        _ask_maps,
        MAPS_MEND,
    ),
    Check("slopes", "does the gradient agree with finite differences?", _ask_slopes, SLOPES_MEND),
    Check("data", "does the model use all its data and coordinates?", _ask_data, _DATA_MEND),
    Check(
        "used", "does the log density depend on every site without a prior?", _ask_used, _USED_MEND
    ),
)
