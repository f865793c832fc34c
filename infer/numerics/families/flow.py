"""Normalizing flow: a learned smooth map of independent normal noise."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from bijectors.base import Bijector
from bijectors.flows import coupling_flow
from bijectors.maps.affine import BoundedAffine
from bijectors.maps.spline import RationalQuadraticSpline

from ...counts import is_whole
from ...errors import EngineError
from ...types import Scalar, Vector
from .base import Distribution, Family, Noise, diagonal_of

TRANSFORMERS = ("affine", "spline")
# The learning rate of the networks, relative to that of the means and scales.
NETWORK = 0.03
# Draws, always the same ones, from which means and standard deviations are computed.
DRAWS = 1024


class Step(NamedTuple):
    """A change of the means in units of the scale, of logarithms of scales, and of the networks."""

    mean: Vector
    scale: Vector
    flow: Any


class FlowDistribution(Distribution):
    """The distribution of mean + scale * flow(noise).

    Attributes:
        mean: Shape (size,).
        scale: Shape (size,).
        flow: A bijector whose array leaves are learned; at first the identity.
    """

    mean: Vector
    scale: Vector
    flow: Bijector

    @property
    def size(self) -> int:
        return self.mean.shape[0]

    @property
    def location(self) -> Vector:
        return self._draws().mean(0)

    @property
    def sd(self) -> Vector:
        return self._draws().std(0)

    def _draws(self) -> Array:
        noise = np.random.default_rng(0).normal(size=(DRAWS // 2, self.size))
        # So the moments of affine maps are exact.
        noise /= np.sqrt((noise**2).mean(0))
        both = jnp.asarray(np.concatenate([noise, -noise]), self.mean.dtype)
        return jax.vmap(self.forward)(both)

    def forward(self, noise: Vector) -> Vector:
        return self.mean + self.scale * self.flow.forward(noise)

    def inverse(self, position: Vector) -> Vector:
        return self.flow.inverse((position - self.mean) / self.scale)

    def log_det(self, noise: Vector) -> Scalar:
        return jnp.log(self.scale).sum() + self.flow.image(noise).log_det

    def ascent(
        self, noise: Noise, gradients: Noise, estimator: str = "path", weight: Scalar | float = 1.0
    ) -> Step:
        is_path = estimator == "path"
        if is_path:
            scores = jax.vmap(jax.grad(self.log_density))(jax.vmap(self.forward)(noise))
            gradients = gradients - weight * scores

        def surrogate(flow: Bijector, mean: Array, growth: Array) -> Scalar:
            """Have the gradient of the ELBO as its own; the scores are constants in it."""
            q = FlowDistribution(self.mean + self.scale * mean, self.scale * jnp.exp(growth), flow)
            along = jax.vmap(lambda n, g: q.forward(n) @ g)(noise, gradients).mean()
            return along if is_path else along + weight * jax.vmap(q.log_det)(noise).mean()

        zero = jnp.zeros_like(self.mean)
        flow, mean, growth = jax.grad(surrogate, (0, 1, 2))(self.flow, zero, zero)
        return Step(mean, growth, flow)

    def limit(self, direction: Step, rate: Scalar | float) -> Step:
        flow = jax.tree.map(lambda a: NETWORK * rate * a, direction.flow)
        return Step(rate * direction.mean, rate * direction.scale, flow)

    def move(self, step: Step) -> "FlowDistribution":
        flow = jax.tree.map(jnp.add, self.flow, step.flow)
        mean = self.mean + self.scale * step.mean
        return FlowDistribution(mean, self.scale * jnp.exp(step.scale), flow)

    def pack(self) -> Float[Array, "width"]:
        return jnp.concatenate([self.mean, self.scale, ravel_pytree(self.flow)[0]])


@dataclass(frozen=True)
class Flow(Family):
    """A normalizing flow of couplings, for posteriors that are curved or have heavy tails.

    It needs many draws per step and a long fit: `ADVI(infer.Flow(), batch=256)`.

    Attributes:
        transformer: How a coupling maps a number: "affine", or "spline" within five standard
            deviations.
        steps: Number of steps, each of two couplings.
        width: Length of each hidden layer of the networks.
        depth: Number of hidden layers.

    Source: Dinh, Sohl-Dickstein & Bengio (2017), arXiv 1605.08803; Durkan et al. (2019), arXiv
        1906.04032; Agrawal & Domke (2024), arXiv 2412.08824, for the objective and large batches.
    """

    example: ClassVar[Mapping[str, Any]] = {"steps": 1, "width": 3, "depth": 1}
    transformer: Literal["affine", "spline"] = "affine"
    steps: int = 4
    width: int = 32
    depth: int = 2

    def __post_init__(self) -> None:
        if self.transformer not in TRANSFORMERS:
            raise EngineError(
                "Flow", f"transformer is {self.transformer!r}", f"Choose one of {TRANSFORMERS}."
            )
        for name in ("steps", "width", "depth"):
            number = getattr(self, name)
            if not is_whole(number) or number < 1:
                raise EngineError(
                    "Flow", f"{name} is {number!r}", "Give a whole number of at least 1."
                )

    @property
    def name(self) -> str:
        return "flow"

    def bind(self, sites: Mapping[str, slice], is_training: bool) -> "Flow":
        if max(own.stop for own in sites.values()) < 2:
            raise EngineError(
                "Flow",
                "the model has one coordinate, and a coupling maps one half of a vector by the "
                "other",
                'Choose "mean_field".',
            )
        return self

    def begin(self, location: Vector, scale: Array | float) -> FlowDistribution:
        size, dtype = location.shape[0], location.dtype
        flow = jax.tree.map(lambda a: jnp.asarray(a, dtype), _make_flow(self, size, str(dtype)))
        return FlowDistribution(location, diagonal_of(scale, size, dtype), flow)

    def unpack(self, packed: Float[Array, "width"], size: int) -> FlowDistribution:
        packed = jnp.asarray(packed)
        flow = _make_flow(self, size, str(packed.dtype))
        return FlowDistribution(
            packed[:size], packed[size : 2 * size], ravel_pytree(flow)[1](packed[2 * size :])
        )

    def moments(self, packed: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        means, sds = _moments(self, size, jnp.asarray(packed))
        return np.asarray(means), np.log(np.asarray(sds))

    def count_numbers(self, size: int) -> int:
        # Linear in the size, for even and for odd sizes, so that large flows need not be made.
        small = 4 + size % 2
        first, second = (_count(self, n) for n in (small, small + 2))
        return first + (size - small) // 2 * (second - first)


@lru_cache(maxsize=8)
def _make_flow(family: Flow, size: int, dtype: str) -> Bijector:
    """Make the flow at which fits begin, on the host, even while a program is traced."""
    with jax.ensure_compile_time_eval():
        return jax.tree.map(lambda a: np.asarray(a, dtype), _build(family, size))


def _build(family: Flow, size: int) -> Bijector:
    own = BoundedAffine() if family.transformer == "affine" else RationalQuadraticSpline()
    return coupling_flow(
        size, own, key=jax.random.key(0), steps=family.steps, width=family.width,
        depth=family.depth,
    )  # fmt: skip


def _count(family: Flow, size: int) -> int:
    shapes = jax.eval_shape(lambda: _build(family, size))
    return 2 * size + sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(shapes))


@eqx.filter_jit
def _moments(family: Flow, size: int, packed: Array) -> tuple[Array, Array]:
    def of_one(row: Array) -> tuple[Array, Array]:
        q = family.unpack(row, size)
        return q.location, q.sd

    return jax.lax.map(of_one, packed)
