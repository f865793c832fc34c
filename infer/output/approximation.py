"""A fitted approximation: its draws, its log density, and how far to trust it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..density.base import LogDensity
from ..density.family import alone
from ..engines.advi import ADVI
from ..numerics.normal import Normal, unpacked
from ..run.loop import root_key
from ..run.run import Run
from .arviz import arviz_of, attributes
from .values import constrained
from .versions import pareto_k

# Draws behind the Pareto k estimate; Vehtari et al. advise 1000 or more.
TRUST_DRAWS = 2000
# Draws evaluated together, so that what all rows of the data need at each fits the memory.
TOGETHER = 16
# Epochs averaged after the fit has settled; the error of the mean falls with their root.
FINAL_EPOCHS = 50


@dataclass(frozen=True)
class Approximation:
    """A normal approximation of the posterior in the unconstrained space.

    Attributes:
        density: The log density it approximates.
        normal: Mean and scale, averaged over 50 epochs after the fit has settled.
        family: "mean_field" or "full_rank".
        losses: Minus the ELBO of each of the last epochs, in nats; NaN where the density has
            no value.
        converged: Whether the stop rule was met.
        attributes: How the fit was made.
    """

    density: LogDensity
    normal: Normal
    family: str
    losses: np.ndarray
    converged: bool
    attributes: dict[str, Any]

    @property
    def elbo(self) -> float:
        """Evidence lower bound in nats, over the last epochs."""
        return -float(self.losses.mean())

    def sample(self, draws: int = 1000, key: int | Array = 0) -> Any:
        """Draw from the approximation, as ArviZ data of one chain."""
        positions = self.positions(draws, key)
        values = constrained(self.density, positions[None])
        stats = {"log_q": self.log_prob(positions)[None]}
        return arviz_of(alone(self.density), values, stats, self.attributes)

    def positions(self, draws: int, key: int | Array = 0) -> np.ndarray:
        """Draw flat unconstrained vectors, shape (draws, size)."""
        noise = jax.random.normal(root_key(key), (draws, self.normal.size), self.normal.mean.dtype)
        return np.asarray(jax.vmap(self.normal.forward)(noise))

    def log_prob(self, positions: np.ndarray) -> np.ndarray:
        """Log density in nats of flat unconstrained vectors, shape (draws, size)."""
        return np.asarray(jax.vmap(self.normal.log_density)(jnp.asarray(positions)))

    @cached_property
    def khat(self) -> float:
        """Pareto k of the importance ratios p / q, from 2000 draws.

        Below 0.5 the approximation is good, up to 0.7 usable with importance weights,
        above it should not be trusted; where the approximation is exact to rounding it is
        minus infinity. It is NaN where the density has no value.

        Source: Yao et al. (2018), Yes, but did it work?
        """
        if not self.density.has_value:
            return float("nan")
        positions = self.positions(TRUST_DRAWS, key=1)
        log_densities = np.asarray(_log_densities(self.density, positions))
        log_ratios = log_densities - self.log_prob(positions)
        return pareto_k(np.where(np.isfinite(log_ratios), log_ratios, -1e30))


@eqx.filter_jit
def _log_densities(density: LogDensity, positions: Array | np.ndarray) -> Array:
    return jax.lax.map(density, positions, batch_size=TOGETHER)


def approximation_of(run: Run) -> Approximation:
    """Run a fit to its end, and average its last epochs."""
    assert isinstance(run.engine, ADVI)
    run.advance(FINAL_EPOCHS)
    draws = run.draws()
    normal = unpacked(jnp.asarray(draws.positions[0].mean(0)), run.density.size)
    return Approximation(
        run.density,
        normal,
        run.engine.family,
        -draws.stats["elbo"][0],
        bool(run.tuning.settled),
        attributes(run),
    )
