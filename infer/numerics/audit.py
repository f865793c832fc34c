"""Audit an approximation by a short run of Hamiltonian Monte Carlo from its own draws."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float

from ..target import Target
from ..types import Scalar, Vector
from . import threefry

CHAINS = 64
# Transitions while the step size is learned, and those whose moments are compared.
BURN_IN, KEPT = 10, 20
# About half of a half orbit: draws of a normal are then nearly independent.
TRAJECTORY = 1.5
TARGET_ACCEPTANCE = 0.8
# Leapfrog is unstable on a standard normal from a step of 2; lengths vary by a fifth.
LONGEST_STEP = 1.5


@runtime_checkable
class Reparameterized(Protocol):
    """An approximation that makes draws from standard normal noise, as all families do."""

    def forward(self, noise: Vector) -> Vector:
        """Map standard normal noise to a draw."""
        ...

    def log_density_of_noise(self, noise: Vector) -> Scalar:
        """Compute the log density, in nats, of the draw made from `noise`."""
        ...


class Audit(NamedTuple):
    """Where chains that began at draws of an approximation have gone.

    Attributes:
        mean: Mean of the positions over chains and kept transitions, shape (size,).
        sd: Their standard deviation, shape (size,).
        acceptance: Mean acceptance probability of the kept transitions.
        shrinkage: The learned step size over the one that suits a standard normal. Far below 1,
            the target is narrower in some direction than the approximation.
        gradients: Number of gradients evaluated.
    """

    mean: np.ndarray
    sd: np.ndarray
    acceptance: float
    shrinkage: float
    gradients: int


class Chains(NamedTuple):
    """Points in the coordinates of the noise: shapes (size,) and (), or with an axis of chains.

    Attributes:
        log_density: Log density of the noise, in nats.
        gradient: Its gradient.
        position: The draw that is made from the noise.
        noise: Standard normal, if the approximation is exact.
    """

    log_density: Any
    gradient: Any
    position: Any
    noise: Any


# Evaluates noise of shape (chains, size).
Evaluate = Callable[[np.ndarray], Chains]


def count_steps(size: int) -> int:
    """Choose the leapfrog steps of a trajectory for a standard normal of this size."""
    return max(1, round(TRAJECTORY / _first_step(size)))


def audit(evaluate: Evaluate, size: int, dtype: Any, key: np.ndarray) -> Audit:
    """Run 64 chains for 30 transitions in the coordinates of the approximation's noise.

    There the approximation is standard normal, whatever its family. If the target is too, the
    chains stay distributed as they began. Otherwise their mean and spread drift to those of the
    target. The first 10 transitions only adapt the step size. Chains do not cross between modes
    that are far apart, so a mode that the approximation misses stays unseen.

    The loop is on the host: compiled, it would take XLA longer than it runs.

    Args:
        evaluate: Calls `evaluate_noise` for each of the 64 chains.
        size: Number of coordinates.
        dtype: Type of the noise.
        key: Key data, shape (2,).

    Source: the leapfrog step and acceptance are Neal (2011), equations 5.18-5.20 and figure 2.
    """
    steps, number = count_steps(size), 1 + BURN_IN + KEPT
    keys = threefry.fold_in(np.asarray(key), np.arange(number))
    step, kept, accepting = _first_step(size), [], []
    with np.errstate(all="ignore"):
        chains = _begin(evaluate(threefry.normal(keys[0], (CHAINS, size), dtype)))
        for turn in range(1, number):
            chains, accepted = _transition(evaluate, chains, keys[turn], step, steps)
            acceptance = float(accepted.mean())
            if turn <= BURN_IN:
                change = float(np.exp(acceptance - TARGET_ACCEPTANCE))
                step = min(step * change, LONGEST_STEP)
            else:
                kept.append(chains.position)
                accepting.append(acceptance)
    rows = np.concatenate(kept).astype(np.float64)
    gradients = CHAINS * (1 + (number - 1) * steps)
    shrinkage = step / _first_step(size)
    return Audit(rows.mean(0), rows.std(0), float(np.mean(accepting)), shrinkage, gradients)


def _first_step(size: int) -> float:
    # The step size that keeps the acceptance of a standard normal, up to a constant: Beskos et
    # al. (2013), Optimal tuning of the hybrid Monte Carlo algorithm, theorem 3.6.
    return min(1.0, 1.3 * size**-0.25)


def evaluate_noise(target: Target, approximation: Reparameterized, noise: Vector) -> Chains:
    """Compute the log density of the noise under the target, and its gradient.

    Args:
        target: It must have a value.
        approximation: An approximation of any family, over vectors of the target's size.
        noise: Shape (size,).
    """
    position, pull_back = jax.vjp(approximation.forward, noise)
    log_density, gradient = target.evaluate(position)

    def weigh(noise: Vector) -> Scalar:
        return approximation.log_density_of_noise(noise) + 0.5 * (noise**2).sum()

    # For a normal this is a constant, minus the log-determinant of its scale.
    log_volume, slope = jax.value_and_grad(weigh)(noise)
    return Chains(log_density - log_volume, pull_back(gradient)[0] - slope, position, noise)


def _begin(chains: Chains) -> Chains:
    """Let chains at impossible values drift."""
    is_sound = np.isfinite(chains.log_density) & np.isfinite(chains.gradient).all(-1)
    gradient = np.where(is_sound[:, None], chains.gradient, 0)
    return chains._replace(
        log_density=np.where(is_sound, chains.log_density, -np.inf), gradient=gradient
    )


def _transition(
    evaluate: Evaluate, chains: Chains, key: np.ndarray, step: float, steps: int
) -> tuple[Chains, Float[np.ndarray, "chains"]]:
    """Make one transition of all chains; return them and their acceptance probabilities."""
    kind, shape = chains.noise.dtype, chains.noise.shape
    for_momentum, for_length, for_accepting = threefry.fold_in(key, np.arange(3))
    momentum = threefry.normal(for_momentum, shape, kind)
    before = _energy(chains, momentum)
    length = kind.type(step * float(threefry.uniform(for_length, (), kind, 0.8, 1.2)))
    half, there = kind.type(0.5) * length, chains
    for _ in range(steps):
        momentum = momentum + half * there.gradient
        there = evaluate(there.noise + length * momentum)
        momentum = momentum + half * there.gradient
    after = _energy(there, momentum)
    # A chain that begins at an impossible value leaves it by the first finite proposal.
    gain = np.where(np.isfinite(before), after - before, np.inf)
    is_sound = np.isfinite(after) & np.isfinite(there.gradient).all(-1)
    accepted = np.exp(np.minimum(np.where(is_sound, gain, -np.inf), 0.0))
    is_accepted = threefry.uniform(for_accepting, accepted.shape, kind, 0.0, 1.0) < accepted
    pick = lambda new, old: np.where(is_accepted.reshape(-1, *(1,) * (new.ndim - 1)), new, old)  # noqa: E731
    return Chains(*map(pick, there, chains)), accepted


def _energy(chains: Chains, momentum: np.ndarray) -> np.ndarray:
    """Return minus the Hamiltonian, in nats, shape (chains,)."""
    return chains.log_density - 0.5 * (momentum**2).sum(-1)
