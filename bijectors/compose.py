"""Compose maps: one after another, an inverse, or one repeated over batch axes."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from .base import Bijector, Image, Shape


class Chain(Bijector):
    """x = outer(inner(y)); log-determinants and auxiliary densities add up.

    The by-products are those of the outer map, since they describe the final value.
    """

    outer: Bijector
    inner: Bijector

    @property
    def event_ndims(self) -> int:
        return self.outer.event_ndims

    @property
    def is_redundant(self) -> bool:
        return self.outer.is_redundant or self.inner.is_redundant

    @property
    def parameter_ndims(self) -> int:
        return max(self.outer.parameter_ndims, self.inner.parameter_ndims)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return self.inner.unconstrained_shape(self.outer.unconstrained_shape(event_shape))

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        between = self.outer.unconstrained_shape(event_shape)
        names = self.inner.find_entries(between)
        outer = dict(zip(np.ndindex(between), self.outer.find_entries(event_shape), strict=True))
        return [outer.get(name, name) for name in names]

    def image(self, y: Float[Array, "..."]) -> Image:
        first = self.inner.image(y)
        second = self.outer.image(first.value)
        log_det = first.log_det + second.log_det
        return Image(second.value, log_det, first.auxiliary + second.auxiliary, second.by_products)

    def inverse(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        return self.inner.inverse(self.outer.inverse(x))

    def inverse_and_log_det(self, x: Num[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        between, outer = self.outer.inverse_and_log_det(x)
        y, inner = self.inner.inverse_and_log_det(between)
        return y, outer + inner


class Invert(Bijector):
    """x = inner^-1(y); the log-determinant is minus that of `inner` at x."""

    inner: Bijector

    @property
    def event_ndims(self) -> int:
        return self.inner.event_ndims

    @property
    def parameter_ndims(self) -> int:
        return self.inner.parameter_ndims

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape

    def image(self, y: Float[Array, "..."]) -> Image:
        x = self.inner.inverse(y)
        image = self.inner.image(x)
        return Image(x, -image.log_det, -image.auxiliary, {})

    def inverse(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        return self.inner.forward(x)

    def inverse_and_log_det(self, x: Num[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        # `forward` of the inner map: its inverse may be a search or a loop.
        return self.inner.forward_and_log_det(x)


class Over(Bijector):
    """One map repeated over leading axes of shape `batch_shape`.

    Array leaves of the map with more axes than `parameter_ndims` are broadcast over the batch,
    so each value may have its own bounds.
    """

    each: Bijector
    batch_shape: Shape = eqx.field(static=True)

    @property
    def event_ndims(self) -> int:
        return len(self.batch_shape) + self.each.event_ndims

    @property
    def is_redundant(self) -> bool:
        return self.each.is_redundant

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        rest = event_shape[len(self.batch_shape) :]
        return (*self.batch_shape, *self.each.unconstrained_shape(rest))

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        each = self.each.find_entries(event_shape[len(self.batch_shape) :])
        return [(*batch, *entry) for batch in np.ndindex(self.batch_shape) for entry in each]

    def image(self, y: Float[Array, "..."]) -> Image:
        images = self._map(lambda each, y: each.image(y), y)
        restore = lambda a: a.reshape(self.batch_shape + a.shape[1:])  # noqa: E731
        by_products = {name: restore(a) for name, a in images.by_products.items()}
        return Image(
            restore(images.value), images.log_det.sum(), images.auxiliary.sum(), by_products
        )

    def inverse(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        ys = self._map(lambda each, x: each.inverse(x), x)
        return ys.reshape(self.batch_shape + ys.shape[1:])

    def inverse_and_log_det(self, x: Num[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        ys, log_dets = self._map(lambda each, x: each.inverse_and_log_det(x), x)
        return ys.reshape(self.batch_shape + ys.shape[1:]), log_dets.sum()

    def _map(self, function, values: Array):
        count = math.prod(self.batch_shape)
        flat = values.reshape((count,) + values.shape[len(self.batch_shape) :])
        each = jax.tree.map(lambda leaf: self._spread(leaf, count), self.each)
        axes = jax.tree.map(lambda leaf: 0 if self._is_batched(leaf) else None, self.each)
        return jax.vmap(function, in_axes=(axes, 0))(each, flat)

    def _is_batched(self, leaf) -> bool:
        return jnp.ndim(leaf) > self.each.parameter_ndims

    def _spread(self, leaf, count: int):
        if not self._is_batched(leaf):
            return leaf
        own = leaf.shape[leaf.ndim - self.each.parameter_ndims :]
        return jnp.broadcast_to(leaf, self.batch_shape + own).reshape((count, *own))


def repeat_over_batch(each: Bijector, shape: Shape) -> Bijector:
    """Repeat `each` over the batch axes of a value of shape `shape`, if there are any."""
    batch_shape = shape[: len(shape) - each.event_ndims]
    return Over(each, batch_shape) if batch_shape else each
