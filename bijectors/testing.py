"""Check a map: round trip, log-determinant, membership and dtype, at inputs of several scales."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .base import Bijector, Constraint, Image, Shape
from .compose import repeat_over_batch
from .errors import BijectorError
from .membership import is_member
from .registry import build_bijector
from .rule import Domain, Rule

# At scale 1 alone, two of four planted faults are missed; at 400 every tail is reached.
SCALES = (1.0, 3.0, 10.0, 20.0, 30.0, 400.0)
# For larger |y|, the autodiff Jacobian of a map that saturates has lost its digits.
AUTODIFF_RADIUS = 8.0
SINGLE_AUTODIFF_RADIUS = 2.0
# Larger Jacobians are expensive and add little: the formula is the same in any dimension.
MAX_JACOBIAN_SIZE = 210
# Number of entries in all inputs of one scale, and the minimum number of inputs.
NUMBERS, MIN_POINTS = 20_000, 8


class Certificate(NamedTuple):
    """The largest errors of one map in one precision at one scale.

    Attributes:
        inside: Number of points in the declared domain.
        round_trip: Largest error of y after a round trip, in the domain.
        log_det: Largest relative error of the log-determinant against a reference.
        members: Fraction of the points in the domain whose values are members, by NumPy.
    """

    dtype: str
    scale: float
    inside: int
    round_trip: float
    log_det: float
    members: float


def check_rule(rule: Rule, seed: int = 0) -> list[Certificate]:
    """Check every case of one rule; see `check_bijector` for what is raised.

    Args:
        rule: The rule, with its cases.
        seed: Seed of the points at which maps are checked.
    """
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
    """Check that a map stays in its set, inverts, and has the log-determinant it reports.

    In the domain of each precision, the value is finite, a member both by `contains` and by
    NumPy in double precision, and maps back; a function of value and log-determinant has finite
    gradients and Hessian-vector products; and the log-determinant is that of the autodiff
    Jacobian (for |y| up to 8, in float64, for up to 210 numbers). At every scale up to 400 the
    log-determinant and its gradient are finite, and those in float32 agree with those in
    float64. `contains` never accepts a value that NumPy rejects.

    Args:
        bijector: The map of one value.
        constraint: The set of its values.
        shape: Shape of a whole value; leading axes repeat the map.
        float32: The domain in which the map is accurate in single precision.
        float64: The same in double precision; checked if `jax_enable_x64` is set. Otherwise
            log-determinants are compared in single precision, for |y| up to 2.
        points: Number of random inputs at each scale; fewer if a value has many entries.
        seed: Seed of the inputs.

    Returns:
        The largest errors found, for each precision and scale.

    Raises:
        BijectorError: A check failed; the message gives the check, the precision and the input.
    """
    repeated = repeat_over_batch(bijector, shape)
    domains = {"float32": float32}
    if jax.config.jax_enable_x64:  # pyright: ignore[reportAttributeAccessIssue]
        domains["float64"] = float64
    checker = _Checker(repeated, constraint, shape, domains)
    every = [
        checker.certify(inputs, scale)
        for scale, inputs in _inputs(repeated.unconstrained_shape(shape), points, seed)
    ]
    return [
        certificate for of_precision in zip(*every, strict=True) for certificate in of_precision
    ]


def _inputs(shape: Shape, points: int, seed: int) -> Iterator[tuple[float, np.ndarray]]:
    points = min(points, max(MIN_POINTS, NUMBERS // max(math.prod(shape), 1)))
    for scale in SCALES:
        yield scale, scale * np.random.default_rng(seed).standard_normal((points, *shape))


class _Found(NamedTuple):
    """What the programs found at points of one precision; the first axis is that of the points."""

    image: Any
    gradient: Any
    derivatives: Any
    returned: Any
    member: Any


class _Checker:
    """The checks of one map onto one set, with one program of each kind for all precisions."""

    def __init__(
        self,
        bijector: Bijector,
        constraint: Constraint,
        shape: Shape,
        domains: dict[str, Domain],
    ) -> None:
        self._bijector, self._constraint, self._shape = bijector, constraint, shape
        self._domains = domains
        self._forward = _compile_for_each(jax.vmap(self._examine))
        # On its own: in one program with the image, XLA would cancel log(exp(y)).
        self._inverse = _compile_for_each(jax.vmap(bijector.inverse))
        self._contains = _compile_for_each(lambda x: constraint.contains(x))
        self._jacobian_log_det = jax.jit(
            jax.vmap(lambda y: _autodiff_log_det(bijector, constraint, y))
        )

    def _examine(self, y: Array) -> tuple[Image, Array, tuple[Array, Array]]:
        """Return the image of one point, the gradient of its log-determinant, and `_derivatives`.

        They share the image, so one program compiles sooner than three.
        """

        def find_log_det(y: Array) -> tuple[Array, Image]:
            image = self._bijector.image(y)
            self._check_dtype(image, y)
            self._check_shape(image.value)
            return image.log_det, image

        gradient, image = jax.grad(find_log_det, has_aux=True)(y)
        return image, gradient, _derivatives(self._bijector, y)

    def certify(self, inputs: np.ndarray, scale: float) -> list[Certificate]:
        """Run every check on inputs of one scale, in each precision."""
        points = [
            # With clipped copies, every scale also covers the domain and its corners.
            np.concatenate([inputs, np.clip(inputs, -domain.radius, domain.radius)]).astype(dtype)
            for dtype, domain in self._domains.items()
        ]
        # The last precision is the reference of all.
        finest = np.concatenate([own.astype(points[-1].dtype) for own in points])
        found = self._evaluate(*points[:-1], finest)
        rows = np.split(np.arange(len(finest)), len(points))
        exact = [jax.tree.map(lambda a, own=own: a[own], found[-1]) for own in rows]
        every = zip(points, [*found[:-1], exact[-1]], exact, self._domains.values(), strict=True)
        return [self._certify_one(*of_precision, scale) for of_precision in every]

    def _evaluate(self, *points: np.ndarray) -> list[_Found]:
        """Run the programs on the points of each precision."""
        results = self._forward(*points)
        values = [image.value for image, _, _ in results]
        returned = self._inverse(*values)
        if self._bijector.is_redundant:
            returned = [image.value for image, _, _ in self._forward(*returned)]
        every = zip(results, returned, self._contains(*values), strict=True)
        return [jax.tree.map(np.asarray, _Found(*one, *more)) for one, *more in every]

    def _certify_one(
        self, y: np.ndarray, found: _Found, exact: _Found, domain: Domain, scale: float
    ) -> Certificate:
        """Run every check in one precision; `exact` is found in the finest at the same points."""
        x = found.image.value
        inside = np.abs(y).reshape(len(y), -1).max(-1, initial=0.0) <= domain.radius
        # For y -> x -> y, or for x -> y -> x if many y have the same x.
        wanted = x if self._bijector.is_redundant else y
        round_trip = _largest_error(found.returned, wanted)
        member = found.member.reshape(len(y), -1).all(-1)
        accepted = np.asarray(is_member(self._constraint, x).reshape(len(y), -1).all(-1))
        finite = np.isfinite(x).reshape(len(y), -1).all(-1)
        self._require(finite | ~inside, "the value is not finite", y)
        self._require(member | ~inside, "the value is not a member of the set", y)
        self._require(accepted | ~member, "`contains` accepts a value that NumPy rejects", y)
        accurate = round_trip <= domain.tolerance
        self._require(accurate | ~inside, "the error of the round trip is too large", y)
        for what, slopes in zip(("gradient", "Hessian"), found.derivatives, strict=True):
            smooth = np.isfinite(slopes).reshape(len(y), -1).all(-1)
            self._require(smooth | ~inside, f"a {what} through the map is not finite", y)
        error = self._log_det_error(y, found, exact, inside)
        worst, share = float(round_trip[inside].max(initial=0.0)), float(accepted[inside].mean())
        return Certificate(y.dtype.name, scale, int(inside.sum()), worst, error, share)

    def _log_det_error(
        self, y: np.ndarray, found: _Found, exact: _Found, inside: np.ndarray
    ) -> float:
        log_det, gradient = found.image.log_det, found.gradient.reshape(len(y), -1)
        self._require(np.isfinite(log_det), "the log-determinant is not finite", y)
        finite = np.isfinite(gradient).all(-1)
        self._require(finite, "the gradient of the log-determinant is not finite", y)
        has_double = "float64" in self._domains
        tolerance = 1e-6 if y.dtype == np.float64 else 2e-4 if has_double else 1e-2
        slopes = exact.gradient.reshape(len(y), -1)
        # Relative to the whole gradient: one entry may be a difference of two large numbers.
        size = 1 + np.abs(slopes).max(-1, initial=0.0)
        accurate = np.abs(gradient - slopes).max(-1, initial=0.0) <= tolerance * size
        self._require(accurate, "the gradient of the log-determinant is inaccurate", y)
        reference = exact.image.log_det
        # The log-determinant of a redundant map is zero: its volume includes the free coordinate.
        radius = AUTODIFF_RADIUS if has_double else SINGLE_AUTODIFF_RADIUS
        near = np.abs(y).reshape(len(y), -1).max(-1, initial=0.0) <= radius
        volume = np.zeros_like(reference) if self._bijector.is_redundant else reference.copy()
        if not self._bijector.is_redundant and 0 < y[0].size <= MAX_JACOBIAN_SIZE:
            some = slice(None, None, 1 + y[0].size ** 2 // 1000)
            volume[some] = self._jacobian_log_det(y[some].astype(reference.dtype))
        reference = np.where(inside & near, volume, reference)
        error = np.abs(log_det - reference) / (1 + np.abs(reference))
        self._require(error <= tolerance, "the log-determinant is not that of the Jacobian", y)
        return float(np.max(error, initial=0.0))

    def _check_dtype(self, image, y: Array) -> None:
        # The precision of a complex number is that of its parts.
        found = {jnp.finfo(leaf.dtype).dtype.name for leaf in jax.tree.leaves(image)}
        if found != {y.dtype.name}:
            raise self._error(f"inputs of {y.dtype.name} give outputs of {sorted(found)}")

    def _check_shape(self, x: Array) -> None:
        if x.shape != self._shape:
            raise self._error(f"the value has shape {x.shape}, not {self._shape}")

    def _require(self, good, what: str, y: np.ndarray) -> None:
        good = np.asarray(good)
        if not good.all():
            first = int(np.argmin(good))
            raise self._error(f"{what} at y = {np.asarray(y[first])} ({y.dtype.name})")

    def _error(self, found: str) -> BijectorError:
        return BijectorError(
            repr(self._bijector), found, "Fix the map, or declare a smaller domain for its rule."
        )


def _compile_for_each(function: Callable[[Array], Any]) -> Callable[..., list[Any]]:
    """Compile one program that calls a function on each of several arrays."""
    return jax.jit(lambda *arrays: [function(array) for array in arrays])


def _largest_error(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    # Outside the domain both may be infinite.
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.abs(found - wanted)
    return error.reshape(len(wanted), -1).max(-1, initial=0.0)


def _derivatives(bijector: Bijector, y: Array) -> tuple[Array, Array]:
    """Return gradient and Hessian-vector product of a function of value and log densities."""

    def scalar(y: Array) -> Array:
        image = bijector.image(y)
        parts = jnp.concatenate([image.value.real.reshape(-1), image.value.imag.reshape(-1)])
        weights = jnp.cos(jnp.arange(parts.size, dtype=parts.dtype))
        return image.log_det + image.auxiliary + weights @ parts

    direction = jnp.sin(1 + jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape)
    return jax.jvp(jax.grad(scalar), (y,), (direction,))


def _autodiff_log_det(bijector: Bijector, constraint: Constraint, y: Array) -> Array:
    """Return the log-determinant of the Jacobian of the free coordinates, by autodiff."""

    def coordinates(flat: Array) -> Array:
        value = bijector.image(flat.reshape(y.shape)).value
        event = value.shape[value.ndim - constraint.event_ndims :]
        return jax.vmap(constraint.coordinates)(value.reshape(-1, *event)).reshape(-1)

    jacobian = jax.jacfwd(coordinates)(y.reshape(-1))
    return jnp.linalg.slogdet(jacobian)[1] if y.size else jnp.zeros((), y.dtype)
