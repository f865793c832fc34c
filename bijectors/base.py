"""A constraint is a set of values; a bijector maps an unconstrained vector onto it."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Num

from .errors import BijectorError

Shape = tuple[int, ...]
# A bound, location or scale: one number, or an array that broadcasts over the batch axes.
ArrayLike = int | float | Num[Array, "..."] | Num[np.ndarray, "..."]


class Constraint(eqx.Module):
    """A set of values onto which the table of rules has a map.

    Bounds are leaves, so they may be traced. Rules are looked up by the type of the set, and a
    set is never hashed.

    Attributes:
        shape: Shape of a whole value, batch axes included, for a set declared without a prior;
            with `None`, the prior determines the shape.
    """

    shape: Shape | None = eqx.field(static=True, default=None, kw_only=True)

    @property
    @abstractmethod
    def event_ndims(self) -> int:
        """Rank of one member: 0 for numbers, 1 for vectors."""

    @abstractmethod
    def contains(self, value: Num[Array, "..."]) -> Bool[Array, "..."]:
        """Return which values are members.

        Inequalities are strict, unless the set says that its ends belong to it. Equations hold
        up to rounding in the precision of the value. If rounding leaves it undecided, the value
        is not a member.

        Args:
            value: Shape (*batch, *event).

        Returns:
            Shape (*batch,); false for NaN.
        """

    def coordinates(self, value: Num[Array, "..."]) -> Float[Array, "n"]:
        """Return the free coordinates of one member; the base measure is Lebesgue in them."""
        return value.reshape(-1)

    @property
    def declared_shape(self) -> Shape:
        """Shape of a value if only this set is declared, without a prior."""
        return self.shape or ()

    def with_event_shape(self, event_shape: Shape) -> "Constraint":
        """Return this set with the settings that follow from the shape of one member.

        Its rule builds the map from the result, so a map may depend on the size of a member.
        """
        return self

    def own_bijector(self) -> "Bijector | None":
        """Return the map to use instead of the table's, if the set defines one."""
        return None


class ScalarConstraint(Constraint):
    """A set of numbers."""

    @property
    def event_ndims(self) -> int:
        return 0


class VectorConstraint(Constraint):
    """A set of vectors, declared by their `size` or by the whole `shape`.

    Attributes:
        size: Length of a vector.
    """

    size: int | None = eqx.field(static=True, default=None)

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        """Shape of a value if only this set is declared, without a prior.

        Raises:
            BijectorError: Neither size nor shape is given, or they disagree.
        """
        shape = (self.size,) if self.shape is None and self.size else self.shape
        if shape is None or (self.size is not None and shape[-1:] != (self.size,)):
            kind = type(self).__name__
            raise BijectorError(
                kind,
                f"its size is {self.size} and its shape is {self.shape}",
                f"Declare {kind}(3), or {kind}(shape=(4, 3)) for four vectors of three numbers.",
            )
        return shape


class MatrixConstraint(Constraint):
    """A set of matrices."""

    @property
    def event_ndims(self) -> int:
        return 2


class Image(NamedTuple):
    """The image of one unconstrained value under a map, and what the map knows about it.

    Attributes:
        value: The constrained value, shape (*event,).
        log_det: Log absolute determinant of the Jacobian in nats, shape ().
        auxiliary: Log density in nats of the free coordinate that a redundant map adds, such as
            the length of a vector of which only the direction is used, shape (); zero for a
            bijection.
        by_products: Quantities that a density may use instead of the value, by name.
    """

    value: Array
    log_det: Float[Array, ""]
    auxiliary: Float[Array, ""]
    by_products: dict[str, Array]

    @classmethod
    def of(cls, value: Any) -> "Image":
        """Make the image of a map that preserves volume: both log densities are zero.

        They have the precision of the value; for integers, the default precision.
        """
        dtype = jnp.result_type(value)
        real = jnp.finfo(dtype).dtype if jnp.issubdtype(dtype, jnp.inexact) else float
        zero = jnp.zeros((), real)
        return cls(value, zero, zero, {})


class Bijector(eqx.Module):
    """A smooth map from unconstrained vectors to the members of a set.

    `forward` goes from unconstrained to constrained. A map acts on one value, and its
    log-determinant is a scalar; `compose.Over` repeats it over batch axes.
    """

    @property
    @abstractmethod
    def event_ndims(self) -> int:
        """Rank of one constrained value."""

    @property
    def is_redundant(self) -> bool:
        """Whether many unconstrained values have the same image; then no volume is assigned."""
        return False

    @property
    def why_no_log_det(self) -> str:
        """Why the map has no log-determinant; empty if it has one."""
        return ""

    @property
    def parameter_ndims(self) -> int:
        """Rank of the map's array leaves for one value; further axes are batch axes."""
        return 0

    @abstractmethod
    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        """Shape of the unconstrained value of one member of shape `event_shape`."""

    def find_entries(self, event_shape: Shape) -> list[Shape]:
        """List, for each unconstrained number, the index of the entry it is named after.

        By default this is its index in the unconstrained value.
        """
        return list(np.ndindex(self.unconstrained_shape(event_shape)))

    @abstractmethod
    def image(self, y: Float[Array, "..."]) -> Image:
        """Map one unconstrained value and return all that the map knows about its image.

        Everything is computed from `y`, which keeps its digits in the tails, in the dtype of `y`.
        """

    @abstractmethod
    def inverse(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        """Map one constrained value back to its unconstrained value."""

    @final
    def forward(self, y: Float[Array, "..."]) -> Array:
        """Map one unconstrained value to its constrained value."""
        return self.image(y).value

    @final
    def forward_and_log_det(self, y: Float[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        """Map one unconstrained value; also return the log-determinant there, in nats."""
        image = self.image(y)
        return image.value, image.log_det

    def inverse_and_log_det(self, x: Num[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        """Map one constrained value back; also return the *inverse* log-determinant, in nats.

        Override this if both together cost less than an inverse and an image.
        """
        y = self.inverse(x)
        return y, -self.image(y).log_det


class Elementwise(Bijector):
    """A map of numbers to numbers."""

    @property
    def event_ndims(self) -> int:
        return 0

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape


class VectorBijector(Bijector):
    """A map whose images are vectors."""

    @property
    def event_ndims(self) -> int:
        return 1


class Vectorwise(VectorBijector):
    """A map of vectors to vectors of the same length; all values of a batch share its leaves."""

    @property
    def parameter_ndims(self) -> int:
        return max_rank(self)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape


class MatrixBijector(Bijector):
    """A map whose images are matrices."""

    @property
    def event_ndims(self) -> int:
        return 2


def max_rank(parameters: eqx.Module) -> int:
    """Return the largest rank of the array leaves: as `parameter_ndims`, none has batch axes."""
    return max((jnp.ndim(leaf) for leaf in jax.tree.leaves(parameters)), default=0)


def bijection(value: Array, log_det: Array, **by_products: Array) -> Image:
    """Make the image of a one-to-one map, which has no auxiliary density.

    Args:
        value: The constrained value.
        log_det: Log-determinant of the map there, in nats.
        by_products: What the map computes on its way, which a prior may reuse.
    """
    return Image(value, log_det, jnp.zeros_like(log_det), by_products)


def cast_like(parameter: ArrayLike, like: Array) -> Array:
    """Convert a bound, location or scale to the dtype of the value it acts on."""
    return jax.lax.convert_element_type(jnp.asarray(parameter), like.dtype)


def holds_unless_traced(good: Callable[..., np.ndarray | np.bool_], *parameters: ArrayLike) -> bool:
    """Return whether bounds pass a test; traced bounds, whose values are unknown, pass."""
    if any(isinstance(parameter, Tracer) for parameter in parameters):
        return True
    return bool(np.all(good(*map(np.asarray, parameters))))
