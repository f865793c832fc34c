"""Prove a map: round trip, log-determinant, membership and dtype, at every scale."""

import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .base import Bijector, Constraint, Shape
from .compose import repeat_over_batch
from .errors import BijectorError
from .membership import is_member
from .registry import build_bijector
from .rule import Domain, Rule

# At scale 1 alone, two of four planted faults pass; at 400 every tail is reached.
SCALES = (1.0, 3.0, 10.0, 20.0, 30.0, 400.0)
# Further out, the Jacobian of a map that saturates has itself lost its digits.
AUTODIFF_RADIUS = 8.0
SINGLE_AUTODIFF_RADIUS = 2.0
# A larger Jacobian costs more than it tells: the formula is the same in any dimension.
LARGEST_JACOBIAN = 210
# Numbers in all inputs of one scale, and the fewest inputs even so.
NUMBERS, FEWEST = 20_000, 8


class Certificate(NamedTuple):
    """The largest errors of one map in one precision at one scale.

    Attributes:
        inside: How many of the points lay in the declared domain.
        round_trip: Largest error of y after a round trip, inside the domain.
        log_det: Largest relative error of the log-determinant against a reference.
        members: Share of the points in the domain whose values NumPy finds in the set.
    """

    dtype: str
    scale: float
    inside: int
    round_trip: float
    log_det: float
    members: float


def check_rule(rule: Rule, seed: int = 0) -> list[Certificate]:
    """Prove every case of one rule. Raises as `check_bijector` does."""
    return [
        certificate
        for case in rule.cases
        for certificate in check_bijector(
            build_bijector(rule, case.constraint, case.shape),
            case.constraint,
            case.shape,
            **rule.domains(case),
            seed=seed,
        )
    ]


def check_bijector(
    bijector: Bijector,
    constraint: Constraint,
    shape: Shape = (),
    *,
    float32: Domain = Rule.float32,
    float64: Domain = Rule.float64,
    points: int = 200,
    seed: int = 0,
) -> list[Certificate]:
    """Prove that a map lands in its set, inverts, and knows its own volume.

    Inside the domain of a precision, the value is finite, a member, by `contains` and by NumPy in
    double precision, and maps back; a function of value and log-determinant has finite gradients
    and Hessian-vector products; and the
    log-determinant is that of the autodiff Jacobian (for |y| up to 8, in float64, of up to 210
    numbers). At every scale up to 400 the log-determinant and its gradient are finite, and those
    in float32 agree with those in float64. Nowhere does `contains` accept what NumPy refuses.

    Args:
        bijector: The map of one value.
        constraint: The set it should land in.
        shape: Shape of a whole value; leading axes repeat the map.
        float32: Where the map keeps its promises in single precision.
        float64: The same in double precision; checked where `jax_enable_x64` is set. Without
            it, log-determinants are compared in single precision, for |y| up to 2.
        points: Number of random inputs at each scale; fewer for values of many numbers.
        seed: Seed of the inputs.

    Returns:
        The largest errors found, a row for each precision and scale.

    Raises:
        BijectorError: A check failed; the message names it, the precision and the input.
    """
    repeated = repeat_over_batch(bijector, shape)
    precisions = [(jnp.float32, float32)]
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        precisions.append((jnp.float64, float64))
    prover = _Prover(repeated, constraint, shape)
    return [
        prover.certify(jnp.asarray(inputs, dtype), scale, domain)
        for dtype, domain in precisions
        for scale, inputs in _inputs(repeated.unconstrained_shape(shape), points, seed)
    ]


def _inputs(shape: Shape, points: int, seed: int) -> Iterator[tuple[float, np.ndarray]]:
    points = min(points, max(FEWEST, NUMBERS // max(math.prod(shape), 1)))
    for scale in SCALES:
        yield scale, scale * np.random.default_rng(seed).standard_normal((points, *shape))


class _Prover:
    """The checks of one map onto one set."""

    def __init__(self, bijector: Bijector, constraint: Constraint, shape: Shape) -> None:
        self._bijector, self._constraint, self._shape = bijector, constraint, shape
        self._image = jax.jit(jax.vmap(bijector.image))
        self._inverse = jax.jit(jax.vmap(bijector.inverse))
        self._slope = jax.jit(jax.vmap(jax.grad(lambda y: bijector.image(y).log_det)))
        self._curvature = jax.jit(jax.vmap(partial(_curvature, bijector)))
        self._volume = jax.jit(jax.vmap(lambda y: _autodiff_log_det(bijector, constraint, y)))

    def certify(self, y: Array, scale: float, domain: Domain) -> Certificate:
        """Run every check on inputs of one precision and one scale."""
        # Clipped copies come along, so that every scale also tries the domain and its corners.
        y = jnp.concatenate([y, jnp.clip(y, -domain.radius, domain.radius)])
        image = self._image(y)
        x = image.value
        inside = np.asarray(jnp.abs(y).reshape(len(y), -1).max(-1, initial=0.0) <= domain.radius)
        self._same_dtype(image, y)
        self._shapes(x)
        trip = self._round_trip(x, y)
        member = np.asarray(self._constraint.contains(x)).reshape(len(y), -1).all(-1)
        accepted = np.asarray(is_member(self._constraint, x).reshape(len(y), -1).all(-1))
        finite = np.isfinite(np.asarray(x)).reshape(len(y), -1).all(-1)
        self._demand(finite | ~inside, "the value is not finite", y)
        self._demand(member | ~inside, "the value is not a member of the set", y)
        self._demand(accepted | ~member, "`contains` accepts a value that NumPy refuses", y)
        self._demand((trip <= domain.tolerance) | ~inside, "the round trip misses", y)
        for what, found in zip(("gradient", "Hessian"), self._curvature(y), strict=True):
            smooth = np.isfinite(np.asarray(found)).reshape(len(y), -1).all(-1)
            self._demand(smooth | ~inside, f"a {what} through the map is not finite", y)
        error = self._log_det_error(y, np.asarray(image.log_det), inside)
        worst, share = float(trip[inside].max(initial=0.0)), float(accepted[inside].mean())
        return Certificate(y.dtype.name, scale, int(inside.sum()), worst, error, share)

    def _round_trip(self, x: Array, y: Array) -> np.ndarray:
        """Error of y -> x -> y; of x -> y -> x where many y have one x."""
        back = self._inverse(x)
        error = self._image(back).value - x if self._bijector.is_redundant else back - y
        return np.abs(np.asarray(error)).reshape(len(y), -1).max(-1, initial=0.0)

    def _log_det_error(self, y: Array, log_det: np.ndarray, inside: np.ndarray) -> float:
        slope = np.asarray(self._slope(y)).reshape(len(y), -1)
        self._demand(np.isfinite(log_det), "the log-determinant is not finite", y)
        self._demand(np.isfinite(slope).all(-1), "its gradient is not finite", y)
        has_double = jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
        fine = y.astype(jnp.float64) if has_double else y
        tolerance = 1e-6 if y.dtype == jnp.float64 else 2e-4 if has_double else 1e-2
        slopes = np.asarray(self._slope(fine)).reshape(len(y), -1)
        # Of the whole gradient: an entry of it may be a difference of two large ones.
        size = 1 + np.abs(slopes).max(-1, initial=0.0)
        error = np.abs(slope - slopes).max(-1, initial=0.0)
        self._demand(error <= tolerance * size, "its gradient is inaccurate", y)
        reference = np.asarray(self._image(fine).log_det)
        # The volume of a redundant map is that of its value with the free coordinate: none.
        radius = AUTODIFF_RADIUS if has_double else SINGLE_AUTODIFF_RADIUS
        near = np.abs(np.asarray(y)).reshape(len(y), -1).max(-1, initial=0.0) <= radius
        volume = np.zeros_like(reference) if self._bijector.is_redundant else reference.copy()
        if not self._bijector.is_redundant and 0 < y[0].size <= LARGEST_JACOBIAN:
            some = slice(None, None, 1 + y[0].size ** 2 // 1000)
            volume[some] = self._volume(fine[some])
        reference = np.where(inside & near, volume, reference)
        self._demand(
            _close(log_det, reference, tolerance), "the log-determinant is not the Jacobian's", y
        )
        return float(np.max(np.abs(log_det - reference) / (1 + np.abs(reference)), initial=0.0))

    def _same_dtype(self, image, y: Array) -> None:
        # A complex number counts by its parts.
        found = {jnp.finfo(leaf.dtype).dtype.name for leaf in jax.tree.leaves(image)}
        if found != {y.dtype.name}:
            raise self._fault(f"{y.dtype.name} in gives {sorted(found)} out")

    def _shapes(self, x: Array) -> None:
        if x.shape[1:] != self._shape:
            raise self._fault(f"the value has shape {x.shape[1:]}, not {self._shape}")

    def _demand(self, good, what: str, y: Array) -> None:
        good = np.asarray(good)
        if not good.all():
            worst = int(np.argmin(good))
            raise self._fault(f"{what} at y = {np.asarray(y[worst])} ({y.dtype.name})")

    def _fault(self, found: str) -> BijectorError:
        return BijectorError(
            repr(self._bijector), found, "Mend the map, or declare a smaller domain for its rule."
        )


def _close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> np.ndarray:
    return np.abs(found - wanted) <= tolerance * (1 + np.abs(wanted))


def _curvature(bijector: Bijector, y: Array) -> tuple[Array, Array]:
    """Gradient and Hessian-vector product of a density's like: log-determinant and value."""

    def scalar(y: Array) -> Array:
        image = bijector.image(y)
        parts = jnp.concatenate([image.value.real.reshape(-1), image.value.imag.reshape(-1)])
        weights = jnp.cos(jnp.arange(parts.size, dtype=parts.dtype))
        return image.log_det + image.auxiliary + weights @ parts

    direction = jnp.sin(1 + jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
    return jax.jvp(jax.grad(scalar), (y,), (direction,))


def _autodiff_log_det(bijector: Bijector, constraint: Constraint, y: Array) -> Array:
    """Log volume of the Jacobian of the value's free coordinates, by autodiff."""

    def coordinates(flat: Array) -> Array:
        value = bijector.image(flat.reshape(y.shape)).value
        event = value.shape[value.ndim - constraint.event_ndims :]
        return jax.vmap(constraint.coordinates)(value.reshape(-1, *event)).reshape(-1)

    jacobian = jax.jacfwd(coordinates)(y.reshape(-1))
    return jnp.linalg.slogdet(jacobian)[1] if y.size else jnp.zeros((), y.dtype)
