"""Audit an approximation by a short run of Hamiltonian Monte Carlo from its own draws."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..target import Target
from ..types import Scalar, Vector

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

    mean: Vector
    sd: Vector
    acceptance: Scalar
    shrinkage: Scalar
    gradients: int


class _Chains(NamedTuple):
    """All chains in the coordinates of the noise: shapes (chains, size) and (chains,)."""

    noise: Float[Array, "chains size"]
    gradient: Float[Array, "chains size"]
    log_density: Float[Array, "chains"]


def count_steps(size: int) -> int:
    """Choose the leapfrog steps of a trajectory for a standard normal of this size."""
    return max(1, round(TRAJECTORY / _first_step(size)))


def audit(target: Target, approximation: Reparameterized, key: Array) -> Audit:
    """Run 64 chains for 30 transitions in the coordinates of the approximation's noise.

    There the approximation is standard normal, whatever its family. If the target is too, the
    chains stay distributed as they began. Otherwise their mean and spread drift to those of the
    target. A transition of no length evaluates where the chains begin, so that the program
    contains the target once; the next 10 only adapt the step size. Chains do not cross between
    modes that are far apart, so a mode that the approximation misses stays unseen.

    Args:
        target: It must have a value.
        approximation: Of any family, over vectors of the target's size.
        key: A JAX key.

    Source: the leapfrog step and acceptance are Neal (2011), equations 5.18-5.20 and figure 2.
    """
    size, steps = target.size, count_steps(target.size)
    evaluate = jax.vmap(lambda noise: _evaluate(target, approximation, noise))
    keys = jax.random.split(key, 1 + BURN_IN + KEPT)
    dtype = approximation.forward(jnp.zeros(size)).dtype
    noise = jax.random.normal(keys[0], (CHAINS, size), dtype)
    first = jnp.asarray(_first_step(size), dtype)

    def advance(carry: tuple[_Chains, Scalar], inputs: tuple[Array, Array, Array]) -> Any:
        (chains, step), (own, share, learning) = carry, inputs
        chains, accepted = _transition(evaluate, chains, own, share * step, steps)
        acceptance = accepted.mean()
        change = jnp.exp(learning * (acceptance - TARGET_ACCEPTANCE))
        positions = jax.vmap(approximation.forward)(chains.noise)
        return (chains, jnp.minimum(step * change, LONGEST_STEP)), (positions, acceptance)

    number = np.arange(1 + BURN_IN + KEPT)
    shares = jnp.asarray(number > 0, dtype)
    learning = jnp.asarray((number > 0) & (number <= BURN_IN), dtype)
    # Any proposal is accepted from an impossible value.
    begun = _Chains(noise, jnp.zeros_like(noise), jnp.full((CHAINS,), -jnp.inf, dtype))
    (_, step), (positions, acceptance) = jax.lax.scan(
        advance, (begun, first), (keys, shares, learning)
    )
    kept = positions[1 + BURN_IN :].reshape(-1, size)
    acceptance = acceptance[1 + BURN_IN :].mean()
    gradients = CHAINS * len(number) * steps
    return Audit(kept.mean(0), kept.std(0), acceptance, step / first, gradients)


def _first_step(size: int) -> float:
    # The step size that keeps the acceptance of a standard normal, up to a constant: Beskos et
    # al. (2013), Optimal tuning of the hybrid Monte Carlo algorithm, theorem 3.6.
    return min(1.0, 1.3 * size**-0.25)


def _evaluate(
    target: Target, approximation: Reparameterized, noise: Vector
) -> tuple[Scalar, Vector]:
    """Compute the log density of the noise under the target, and its gradient."""
    position, pull_back = jax.vjp(approximation.forward, noise)
    log_density, gradient = target.evaluate(position)

    def weigh(noise: Vector) -> Scalar:
        return approximation.log_density_of_noise(noise) + 0.5 * (noise**2).sum()

    # For a normal this is a constant, minus the log-determinant of its scale.
    log_volume, slope = jax.value_and_grad(weigh)(noise)
    return log_density - log_volume, pull_back(gradient)[0] - slope


def _transition(
    evaluate: Any, chains: _Chains, key: Array, step: Scalar, steps: int
) -> tuple[_Chains, Float[Array, "chains"]]:
    """Make one transition of all chains; return them and their acceptance probabilities."""
    for_momentum, for_length, for_accepting = jax.random.split(key, 3)
    momentum = jax.random.normal(for_momentum, chains.noise.shape, chains.noise.dtype)
    length = step * jax.random.uniform(for_length, (), chains.noise.dtype, 0.8, 1.2)

    def leap(point: tuple[_Chains, Array], _: None) -> tuple[tuple[_Chains, Array], None]:
        here, momentum = point
        momentum = momentum + 0.5 * length * here.gradient
        noise = here.noise + length * momentum
        there = _Chains(noise, *evaluate(noise)[::-1])
        return (there, momentum + 0.5 * length * there.gradient), None

    (ended, momentum_after), _ = jax.lax.scan(leap, (chains, momentum), length=steps)
    before = chains.log_density - 0.5 * (momentum**2).sum(-1)
    after = ended.log_density - 0.5 * (momentum_after**2).sum(-1)
    # A chain that begins at an impossible value leaves it by the first finite proposal.
    gain = jnp.where(jnp.isfinite(before), after - before, jnp.inf)
    gain = jnp.where(jnp.isfinite(after) & jnp.isfinite(ended.gradient).all(-1), gain, -jnp.inf)
    accepted = jnp.exp(jnp.minimum(gain, 0.0))
    uniform = jax.random.uniform(for_accepting, accepted.shape, accepted.dtype)
    is_accepted = uniform < accepted
    moved = jax.tree.map(
        lambda new, old: jnp.where(is_accepted.reshape(-1, *(1,) * (new.ndim - 1)), new, old),
        ended,
        chains,
    )
    return moved, accepted
