"""The finite support of a discrete site, whose values are tried one after the other."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from bijectors.base import Constraint, Shape
from bijectors.sets.discrete import Boolean, Integers

from ...errors import ModelError
from ..priors.prior import Prior
from ..protocol.site import Declaration


@dataclass(frozen=True)
class Finite:
    """A discrete site and the values that each of its entries may have.

    Attributes:
        declaration: The site.
        low: Smallest value of each entry, shape (*batch,).
        high: Largest value of each entry, shape (*batch,).
        dtype: Type of a value, as its prior draws it.
    """

    declaration: Declaration
    low: np.ndarray
    high: np.ndarray
    dtype: Any

    @property
    def shape(self) -> Shape:
        """Shape of a value."""
        return self.low.shape

    @cached_property
    def count(self) -> int:
        """Number of values of the entry that has most."""
        return int((self.high - self.low).max(initial=0)) + 1

    def value(self, k: Array) -> Array:
        """Return the k-th value of each entry; an entry with fewer values repeats its last."""
        low, high = (bound.astype(self.dtype) for bound in (self.low, self.high))
        if self._is_uniform:
            return jnp.broadcast_to(low.flat[0] + k.astype(self.dtype), self.shape)
        return jnp.minimum(low + k.astype(self.dtype), high)

    def pick(self, k: Array) -> Array:
        """Return the k-th value of each entry, for indices k of shape (entries,)."""
        low = jnp.asarray(self.low.reshape(-1), self.dtype)
        return (low + k.astype(self.dtype)).reshape(self.shape)

    def is_repeated(self) -> np.ndarray | None:
        """Return where the k-th value repeats the last, shape (values, entries), if anywhere."""
        if self._is_uniform:
            return None
        return np.arange(self.count)[:, None] > (self.high - self.low).reshape(1, -1)

    @cached_property
    def _is_uniform(self) -> bool:
        bounds = np.stack([self.low, self.high]).reshape(2, -1)
        return bounds.size > 0 and bool((bounds == bounds[:, :1]).all())


def find_support(declaration: Declaration, constraint: Constraint, prior: Prior) -> Finite:
    """Find the values of a discrete site.

    Raises:
        ModelError: Its values are vectors, there are infinitely many, or their number is not known
            before the program runs.
    """
    name = declaration.name
    if isinstance(constraint, Boolean):
        bounds: tuple[Any, Any] = (0, 1)
    elif isinstance(constraint, Integers):
        bounds = (constraint.low, constraint.high)
    else:
        raise ModelError(
            name,
            f"it is to be summed out, and its support {constraint!r} consists of vectors",
            "Use a Categorical, whose values are indices.",
        )
    if any(isinstance(bound, Tracer) for bound in bounds):
        raise ModelError(
            name,
            "the bounds of its support are traced, so the number of its values is not known",
            "Give them as numbers of the program, of the shape of the site: infer.static(n) of an "
            "array, or np.full(shape, n).",
        )
    low, high = (np.asarray(bound, float) for bound in bounds)
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ModelError(
            name,
            f"its support {constraint!r} has no end, so a sum over its values has no end",
            "Give it a prior with finitely many values, such as a Categorical over those that are "
            "not negligible.",
        )
    dtype = jax.eval_shape(lambda: prior.sample(jax.random.key(0))).dtype
    low, high = (np.broadcast_to(b, prior.batch_shape).astype(np.int64) for b in (low, high))
    return Finite(declaration, low, high, dtype)
