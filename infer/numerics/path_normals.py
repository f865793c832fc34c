"""Normal distributions along the path of a quasi-Newton search, and the one of largest ELBO."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from ..target import Target
from ..types import Scalar, Vector
from .families.low_rank import LowRankNormal

# A pair of step and change of gradient is kept if the curvature along it is positive by this much.
LEAST_CURVATURE = 1e-12


class Pairs(NamedTuple):
    """The last steps of a path and how they changed the gradient of the loss, the newest last.

    Attributes:
        steps: Shape (pairs, size); zero rows are empty.
        changes: Shape (pairs, size).
        diagonal: Diagonal of the approximate inverse Hessian, without the pairs, shape (size,).
    """

    steps: Float[Array, "pairs size"]
    changes: Float[Array, "pairs size"]
    diagonal: Vector


class Best(NamedTuple):
    """The normal distribution of largest ELBO so far.

    Attributes:
        normal: The distribution.
        elbo: Its estimated ELBO in nats; minus infinity if there is none yet.
        place: Index of its point on the path.
    """

    normal: LowRankNormal
    elbo: Scalar
    place: Array


def add_pair(pairs: Pairs, step: Vector, change: Vector) -> Pairs:
    """Add a pair, and let the diagonal follow it, if the loss is convex along the step.

    Source: Zhang et al. (2022), algorithm 3, after Gilbert & Lemarechal (1989).
    """
    along, square = step @ change, change @ change
    is_kept = jnp.isfinite(square) & (along > LEAST_CURVATURE * square)
    safe = jnp.where(is_kept, along, 1.0)
    own = pairs.diagonal
    a, c = (change**2 * own).sum(), (step**2 / own).sum()
    c = jnp.where(c > 0, c, 1.0)
    inverse = a / (safe * own) + change**2 / safe - a * step**2 / (safe * c * own**2)
    is_positive = (inverse > 0).all() & jnp.isfinite(inverse).all()
    diagonal = jnp.where(is_kept & is_positive, 1 / inverse, own)
    push = lambda rows, row: jnp.concatenate([rows[1:], row[None]])  # noqa: E731
    return Pairs(
        jnp.where(is_kept, push(pairs.steps, step), pairs.steps),
        jnp.where(is_kept, push(pairs.changes, change), pairs.changes),
        diagonal,
    )


def make_local_normal(pairs: Pairs, position: Vector, gradient: Vector) -> LowRankNormal:
    """Make the normal distribution whose covariance is the approximate inverse Hessian.

    Its mean is a quasi-Newton step from the position.

    Args:
        pairs: The last pairs of the path there.
        position: Point of the path, shape (size,).
        gradient: Gradient of the log density there.

    Source: Zhang et al. (2022), algorithm 4, and Byrd, Nocedal & Schnabel (1994), theorem 2.2.
    """
    scale = jnp.sqrt(pairs.diagonal)
    # The pairs in units of the scale, so that the diagonal is the identity.
    steps, changes = pairs.steps / scale, pairs.changes * scale
    products = steps @ changes.T
    lengths = jnp.diagonal(products)
    filled = jnp.where(lengths > 0, lengths, 1.0)
    upper = jnp.triu(products, 1) + jnp.diag(filled)
    eye = jnp.eye(len(filled), dtype=position.dtype)
    inverse = solve_triangular(upper, eye)
    inner = inverse.T @ (jnp.diag(filled) + changes @ changes.T) @ inverse
    core = jnp.block([[jnp.zeros_like(inner), -inverse], [-inverse.T, inner]])
    basis, weights = jnp.linalg.qr(jnp.concatenate([changes, steps]).T)
    small = weights @ core @ weights.T
    values, vectors = jnp.linalg.eigh(0.5 * (small + small.T))
    stretch = jnp.sqrt(jnp.maximum(1 + values, jnp.finfo(position.dtype).eps))
    directions, slope = basis @ vectors, scale * gradient
    step = slope + directions @ ((stretch**2 - 1) * (slope @ directions))
    return LowRankNormal(position + scale * step, scale, stretch, directions)


def find_best_normal(
    target: Target, positions: Float[Array, "points size"], gradients: Float[Array, "points size"],
    noise: Float[Array, "draws size"], pairs: Float[Array, "pairs"],
) -> Best:  # fmt: skip
    """Follow a path and return the distribution of largest ELBO along it; traced.

    Args:
        target: The log density.
        positions: Points of the path.
        gradients: Gradients of the log density there.
        noise: Standard normal; the ELBO is estimated from these draws.
        pairs: Zeros, as many as pairs are kept.

    Source: Zhang et al. (2022), algorithm 1.
    """
    size = positions.shape[1]
    empty = jnp.zeros((len(pairs), size), positions.dtype)
    begun = Pairs(empty, empty, jnp.ones(size, positions.dtype))
    first = make_local_normal(begun, positions[0], gradients[0])
    none = Best(first, jnp.asarray(-jnp.inf, positions.dtype), jnp.int32(0))

    def visit(carry: tuple[Pairs, Vector, Vector, Best], point: tuple) -> tuple:
        pairs, before, slope, best = carry
        position, gradient, place = point
        pairs = add_pair(pairs, position - before, slope - gradient)
        # A path that has ended stays where it is.
        is_new = (place == 0) | (position != before).any()
        judge = lambda: _judge(target, pairs, position, gradient, noise, place, best)  # noqa: E731
        best = jax.lax.cond(is_new, judge, lambda: best)
        return (pairs, position, gradient, best), None

    points = positions, gradients, jnp.arange(len(positions), dtype=jnp.int32)
    begin = begun, positions[0], gradients[0], none
    return jax.lax.scan(visit, begin, points)[0][-1]


def _judge(
    target: Target, pairs: Pairs, position: Vector, gradient: Vector, noise: Array, place: Array,
    best: Best,
) -> Best:  # fmt: skip
    """Return the better of the distribution at a point and the best one so far."""
    normal = make_local_normal(pairs, position, gradient)
    own = Best(normal, estimate_elbo(target, normal, noise), place)
    return jax.tree.map(lambda a, b: jnp.where(own.elbo > best.elbo, a, b), own, best)


def estimate_elbo(
    target: Target, normal: LowRankNormal, noise: Float[Array, "draws size"]
) -> Scalar:
    """Estimate the ELBO; minus infinity if the log density is not finite at a draw."""
    values = jax.lax.map(lambda z: target.evaluate(normal.forward(z))[0], noise)
    elbo = values.mean() - jax.vmap(normal.log_density_of_noise)(noise).mean()
    return jnp.where(jnp.isfinite(elbo), elbo, -jnp.inf)
