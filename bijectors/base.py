"""A constraint is a set of values; a bijector maps an unconstrained vector onto it."""

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Num

from .errors import BijectorError

Shape = tuple[int, ...]
# A bound, location or scale: one number, or an array that broadcasts over the batch.
ArrayLike = int | float | Num[Array, "..."] | Num[np.ndarray, "..."]


class Constraint(eqx.Module):
    """A set of values, of which a map may be asked.

    Bounds are leaves, so they may be traced; a set is dispatched by its type and never hashed.

    Attributes:
        shape: Shape of a whole value, batch axes included, for those who declare a
            set without a prior; `None` leaves the shape to the prior.
    """

    shape: Shape | None = eqx.field(static=True, default=None, kw_only=True)

    @property
    @abstractmethod
    def event_ndims(self) -> int:
        """Rank of one member: 0 for numbers, 1 for vectors."""

    @abstractmethod
    def contains(self, value: Num[Array, "..."]) -> Bool[Array, "..."]:
        """Return which values are members.

        Inequalities hold strictly, unless the set says that its ends belong to it; equations
        hold to the rounding of the value's precision. What rounding leaves open is no member.

        Args:
            value: Shape (*batch, *event).

        Returns:
            Shape (*batch,); false for NaN.
        """

    def coordinates(self, value: Num[Array, "..."]) -> Float[Array, "n"]:
        """Read the free coordinates of one member: the base measure is their volume."""
        return value.reshape(-1)

    @property
    def declared_shape(self) -> Shape:
        """Shape of a value declared by this set alone."""
        return self.shape or ()

    def with_event_shape(self, event_shape: Shape) -> "Constraint":
        """Return this set with all that the shape of a member settles, for its rule to see."""
        return self

    def own_bijector(self) -> "Bijector | None":
        """Return the map that a user's set brings along; it overrides the registry."""
        return None


class VectorConstraint(Constraint):
    """A set of vectors, declared by their `size` or by a whole `shape`.

    Attributes:
        size: Length of a vector.
    """

    size: int | None = eqx.field(static=True, default=None)

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def declared_shape(self) -> Shape:
        """Shape of a value declared by this set alone.

        Raises:
            BijectorError: Neither size nor shape is given, or they disagree.
        """
        shape = (self.size,) if self.shape is None and self.size else self.shape
        if shape is None or (self.size is not None and shape[-1:] != (self.size,)):
            kind = type(self).__name__
            raise BijectorError(
                kind,
                f"its size is {self.size} and its shape {self.shape}",
                f"Declare {kind}(3), or {kind}(shape=(4, 3)) for four vectors of three numbers.",
            )
        return shape


class Image(NamedTuple):
    """What a map makes of one unconstrained value.

    Attributes:
        value: The constrained value, shape (*event,).
        log_det: Log absolute determinant of the Jacobian in nats, shape ().
        auxiliary: Extra log density of a redundant map (such as the radius of a unit
            vector) in nats, shape (); zero for a bijection.
        by_products: Quantities that a density may use instead of the value, by name.
    """

    value: Array
    log_det: Float[Array, ""]
    auxiliary: Float[Array, ""]
    by_products: dict[str, Array]

    @classmethod
    def of(cls, value: Array | np.ndarray) -> "Image":
        """Make the image of a map that preserves volume: both log densities are zero.

        They have the precision of the value; for integers, the default precision.
        """
        dtype = jnp.result_type(value)
        real = jnp.finfo(dtype).dtype if jnp.issubdtype(dtype, jnp.inexact) else float
        zero = jnp.zeros((), real)
        return cls(value, zero, zero, {})


class Bijector(eqx.Module):
    """A smooth map from unconstrained vectors to the members of a set.

    `forward` goes from unconstrained to constrained. A map acts on one value and its
    log-determinant is a scalar; `compose.Over` repeats it over batch axes.
    """

    @property
    @abstractmethod
    def event_ndims(self) -> int:
        """Rank of one constrained value."""

    @property
    def is_redundant(self) -> bool:
        """Whether many unconstrained values have one image; then no volume belongs to it."""
        return False

    @property
    def why_no_log_det(self) -> str:
        """Why the map has no log-determinant; empty where it has one."""
        return ""

    @property
    def parameter_ndims(self) -> int:
        """Rank of the map's own array leaves for one value; more axes are batch axes."""
        return 0

    @abstractmethod
    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        """Shape of the unconstrained value of one member of shape `event_shape`."""

    def entries(self, event_shape: Shape) -> list[Shape]:
        """List the entry of the value that each unconstrained number is named after, in order.

        By default an index into the unconstrained value itself.
        """
        return list(np.ndindex(self.unconstrained_shape(event_shape)))

    @abstractmethod
    def image(self, y: Float[Array, "..."]) -> Image:
        """Map one unconstrained value, with all that is known about the map there.

        Everything is computed from `y`, which still has its tail, in the dtype of `y`.
        """

    @abstractmethod
    def inverse(self, x: Num[Array, "..."]) -> Float[Array, "..."]:
        """Map one constrained value back."""

    @final
    def forward(self, y: Float[Array, "..."]) -> Array:
        """Map one unconstrained value to its constrained value."""
        return self.image(y).value

    @final
    def forward_and_log_det(self, y: Float[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        """Map one unconstrained value; add the log-determinant there, in nats."""
        image = self.image(y)
        return image.value, image.log_det

    def inverse_and_log_det(self, x: Num[Array, "..."]) -> tuple[Array, Float[Array, ""]]:
        """Map one constrained value back; add the *inverse* map's log-determinant, in nats.

        A map that finds both at less cost than an inverse and an image overrides this.
        """
        y = self.inverse(x)
        return y, -self.image(y).log_det


class Elementwise(Bijector):
    """A map of single numbers."""

    @property
    def event_ndims(self) -> int:
        return 0

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape


class Vectorwise(Bijector):
    """A map of vectors onto vectors of the same length; a batch of them shares its leaves."""

    @property
    def event_ndims(self) -> int:
        return 1

    @property
    def parameter_ndims(self) -> int:
        return highest_rank(self)

    def unconstrained_shape(self, event_shape: Shape) -> Shape:
        return event_shape


def highest_rank(parameters: eqx.Module) -> int:
    """Find the largest rank among array leaves, so that no axis of theirs is a batch's."""
    return max((jnp.ndim(leaf) for leaf in jax.tree.leaves(parameters)), default=0)


def bijection(value: Array, log_det: Array, **by_products: Array) -> Image:
    """Make the `Image` of a map that is one to one: it has no auxiliary density."""
    return Image(value, log_det, jnp.zeros_like(log_det), by_products)


def cast_like(parameter: ArrayLike, like: Array) -> Array:
    """Bring a bound or scale to the dtype of the value it acts on."""
    return jax.lax.convert_element_type(jnp.asarray(parameter), like.dtype)


def holds_unless_traced(good: Callable[..., np.ndarray | np.bool_], *parameters: ArrayLike) -> bool:
    """Tell whether bounds pass a test; traced ones, whose values are unknown, pass."""
    if any(isinstance(parameter, Tracer) for parameter in parameters):
        return True
    return bool(np.all(good(*map(np.asarray, parameters))))
