"""Audit an approximation: what drifted when short chains began at its draws."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array

from ...density.base import LogDensity
from ...models.inputs.names import join_names
from ...numerics import audit as numerics
from ...numerics.families.base import Distribution
from ...numerics.keys import read_key_data
from ...numerics.rows import map_rows
from ...programs.native import call_compiled, prepare
from ..finding import Finding

# Of 31 mean-field fits to posteriors with reference values, these limits flagged each of the 25
# with a mean off by 0.5 sd or an sd off by 30 %, and none of the 5 with both within a tenth; see
# benchmarks/approximations.py.
LARGEST_SHIFT, LARGEST_GROWTH = 0.2, 0.2
# Below this, the target is about three times narrower in some direction.
SMALLEST_STEP = 0.35
# Names in a message.
SHOWN = 3
KEY = 2


class Departures(NamedTuple):
    """How chains that began at draws of an approximation departed from it.

    Attributes:
        shift: Change of each mean, in standard deviations of the approximation, shape (size,).
        growth: Logarithm of the factor by which each standard deviation grew, shape (size,).
        shrinkage: The learned step size over the one that suits the approximation.
        gradients: Number of gradients evaluated.
    """

    shift: np.ndarray
    growth: np.ndarray
    shrinkage: float
    gradients: int

    @property
    def worst(self) -> np.ndarray:
        """The larger of shift and growth of each coordinate, relative to their limits."""
        return np.maximum(np.abs(self.shift) / LARGEST_SHIFT, np.abs(self.growth) / LARGEST_GROWTH)


def run_audit(density: LogDensity, distribution: Distribution) -> Departures:
    """Run the chains and compare their moments with those of the approximation."""
    leaves, structure = jax.tree.flatten((density, distribution))

    def evaluate(noise: np.ndarray) -> numerics.Chains:
        here = call_compiled(_evaluate, leaves, noise, static=(structure,), form="either")
        return jax.tree.map(np.asarray, here)

    kind, key = distribution.location.dtype, read_key_data(KEY)
    found = numerics.audit(evaluate, distribution.size, kind, key)
    location, sd = (np.asarray(a, np.float64) for a in (distribution.location, distribution.sd))
    with np.errstate(all="ignore"):
        shift, growth = (found.mean - location) / sd, np.log(found.sd / sd)
    return Departures(shift, growth, found.shrinkage, found.gradients)


def prepare_audit(density: LogDensity, distribution: Distribution) -> None:
    """Start to compile the audit; only the shapes of the distribution matter."""
    leaves, structure = jax.tree.flatten((density, distribution))
    wide = jax.dtypes.canonicalize_dtype(float)
    noise = np.zeros((numerics.CHAINS, density.size), wide)
    prepare(_evaluate, (structure,), (leaves, noise), "either")


def _evaluate(structure: Any, leaves: list[Array], noise: Array) -> numerics.Chains:
    density, distribution = jax.tree.unflatten(structure, leaves)
    one = lambda own: numerics.evaluate_noise(density, distribution, own)  # noqa: E731
    return map_rows(one, noise)


def find_departures(density: LogDensity, found: Departures, advice: str) -> Iterator[Finding]:
    """Name the coordinates that moved away from the approximation."""
    worst = np.nan_to_num(found.worst, nan=np.inf)
    order = np.argsort(-worst, kind="stable")
    order = order[worst[order] > 1]
    if order.size:
        labels = density.labels()
        shown = [
            _describe(labels[i], float(found.shift[i]), float(found.growth[i]))
            for i in order[:SHOWN]
        ]
        more = f", and {order.size - SHOWN} more" if order.size > SHOWN else ""
        yield Finding(
            "failed_audit",
            f"short chains of HMC that began at draws of the approximation moved away from it: "
            f"{'; '.join(shown)}{more} (unconstrained). Its means and standard deviations cannot "
            "be trusted.",
            advice,
            tuple(dict.fromkeys(labels[i].partition("[")[0] for i in order)),
        )
    elif found.shrinkage < SMALLEST_STEP:
        yield Finding(
            "failed_audit",
            f"short chains of HMC that began at draws of the approximation needed steps "
            f"{1 / found.shrinkage:.2g} times shorter than it calls for: in some direction the "
            "posterior is narrower than the approximation.",
            advice,
        )


def _describe(label: str, shift: float, growth: float) -> str:
    """Describe how one coordinate departed."""
    parts = []
    if not abs(shift) <= LARGEST_SHIFT:
        parts.append(f"its mean by {shift:+.2g} sd")
    if not abs(growth) <= LARGEST_GROWTH:
        parts.append(f"its sd by a factor of {np.exp(growth):.2g}")
    return f"{label}, {join_names(parts)}" if parts else label
