"""The map from the arrays inside a wrapper of paramax to its value, by autodiff."""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Num

from bijectors.base import Bijector, Image, Shape, bijection
from bijectors.errors import BijectorError
from bijectors.maps.jacobian import log_det_of

from ...inputs.partition import Partition

# A limit for hopeless cases: from above, Newton's method on exp gains a unit of y per step.
NEWTON_STEPS = 1000


class Unwrapped(Bijector):
    """x = unwrap(node with the numbers y in its arrays).

    The log-determinant is that of the full Jacobian, or the sum over its diagonal if the map is
    elementwise. The inverse is Newton's method from the arrays of the original node.

    Attributes:
        node: The wrapper.
        indices: Its leaves that y fills.
        shape: Shape of x.
        refusal: Why there is no log-determinant; empty if there is one.
    """

    node: Partition
    indices: tuple[int, ...] = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    refusal: str = eqx.field(static=True, default="")

    @classmethod
    def of(cls, node: Any, indices: Sequence[int]) -> "Unwrapped":
        """Make the map of a wrapper; `indices` are those of its trainable leaves."""
        split = Partition.of(node)
        shape = jax.eval_shape(lambda: unwrap(split.tree())).shape
        plain = cls(split, tuple(indices), shape)
        return cls(split, tuple(indices), shape, _refusal(plain, type(node).__name__))

    @property
    def event_ndims(self) -> int:
        return len(self.shape)

    @property
    def why_no_log_det(self) -> str:
        return self.refusal

    @property
    def present(self) -> Array:
        """The numbers in the node, in the shape that `image` takes."""
        flat = jnp.concatenate([leaf.reshape(-1) for leaf in self._arrays()])
        return flat.reshape(self.unconstrained_shape(self.shape))

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        shapes = [leaf.shape for leaf in self._arrays()]
        return shapes[0] if len(shapes) == 1 else (sum(map(math.prod, shapes)),)

    def image(self, y: Float[Array, "..."]) -> Image:
        log_det = jnp.full((), jnp.nan, y.dtype) if self.refusal else log_det_of(self.value, y)
        return bijection(self.value(y), log_det)

    def inverse(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        if self.refusal:
            raise BijectorError(
                "Unwrapped", f"it has no inverse: {self.refusal}", "Start at random instead."
            )
        shape = self.unconstrained_shape(x.shape)
        flat = lambda y: self.value(y.reshape(shape)).reshape(-1)  # noqa: E731
        start = self.present.reshape(-1).astype(x.dtype)
        return _newton(flat, start, x.reshape(-1)).reshape(shape)

    def value(self, y: Array) -> Array:
        """Put numbers into the node and unwrap it."""
        arrays = self._arrays()
        pieces = jnp.split(y.reshape(-1), np.cumsum([leaf.size for leaf in arrays])[:-1])
        shaped = [p.reshape(leaf.shape) for p, leaf in zip(pieces, arrays, strict=True)]
        return jnp.asarray(unwrap(self.node.tree(dict(zip(self.indices, shaped, strict=True)))))

    def _arrays(self) -> list[Array]:
        return [self.node.leaves[index] for index in self.indices]


def unwrap(node: Any) -> Any:
    """Unwrap a node as paramax does, inner nodes first; return any other node unchanged."""
    paramax = sys.modules.get("paramax")
    known = paramax is not None and isinstance(node, paramax.AbstractUnwrappable)
    return paramax.unwrap(node) if known else node  # pyright: ignore[reportOptionalMemberAccess]


def _refusal(plain: Unwrapped, kind: str) -> str:
    made, taken = math.prod(plain.shape), plain.present.size
    if made != taken:
        return f"{kind} maps {taken} numbers to {made}, so it adds no Jacobian"
    if isinstance(plain.present, Tracer):
        return ""
    jacobian = np.asarray(jax.jacfwd(plain.value)(plain.present)).reshape(made, made)
    singular = np.linalg.matrix_rank(jacobian) < made
    reason = f"the Jacobian of {kind} is singular, so different arrays give the same value"
    return reason if singular else ""


def _newton(function: Callable[[Array], Array], start: Array, target: Array) -> Array:
    """Solve function(y) = target by Newton's method; a step that gets no closer is halved."""
    miss = lambda y: jnp.linalg.norm(function(y) - target)  # noqa: E731

    def improve(carry):
        y, step, best, count = carry
        here = miss(y + step)
        closer = here < best
        y = jnp.where(closer, y + step, y)
        fresh = jnp.linalg.solve(jax.jacfwd(function)(y), target - function(y))
        return y, jnp.where(closer, fresh, 0.5 * step), jnp.where(closer, here, best), count + 1

    def going(carry):
        y, step, _, count = carry
        resolved = jnp.finfo(y.dtype).eps * (1 + jnp.abs(y))
        return jnp.any(jnp.abs(step) > resolved) & (count < NEWTON_STEPS)

    first = jnp.linalg.solve(jax.jacfwd(function)(start), target - function(start))
    return jax.lax.while_loop(going, improve, (start, first, miss(start), 0))[0]
