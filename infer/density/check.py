"""The pre-flight check: ordered, named questions to a model, each with its mend."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ..errors import StartError
from ..models.base import Model
from .base import LogDensity, log_density
from .family import alone
from .start import find_starts


class Finding(NamedTuple):
    """The answer to one question of the check."""

    question: str
    passed: bool
    detail: str


def check(model: Model, seed: int = 0) -> list[Finding]:
    """Ask a model the questions that a run would stumble over, without raising.

    The questions end at the first that fails, since later ones rest on it.

    Args:
        model: What a front end returned.
        seed: Seed of the trial point.

    Returns:
        The findings in order; `str` of each detail says what was found and how to mend it.
    """
    findings: list[Finding] = []
    try:
        density = log_density(model)
        sites = ", ".join(f"{s.name}{list(s.shape)}" for s in density.latent)
        findings.append(Finding("does the model run, with latent sites?", True, sites))
        point = find_starts(alone(density), 1, np.array([0, seed], np.uint32), "uniform").positions[
            0
        ]
        findings.append(Finding("is there a finite start?", True, f"size {density.size}"))
        findings.append(_round_trip(density, point))
    except StartError as error:
        findings.append(Finding("is there a finite start?", False, str(error)))
    except Exception as error:  # noqa: BLE001 - whatever the user's function raises is the answer
        detail = f"{type(error).__name__}: {error}"
        findings.append(Finding("does the model run, with latent sites?", False, detail))
    return findings


def _round_trip(density: LogDensity, point: np.ndarray) -> Finding:
    values = density.constrain(jnp.asarray(point))
    latent = {site.name: values[site.name] for site in density.latent}
    error = float(np.max(np.abs(np.asarray(density.unconstrain(latent)) - point), initial=0.0))
    detail = f"largest error {error:.1e}"
    return Finding("do the maps return to where they came from?", error < 1e-3, detail)
