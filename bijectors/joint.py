"""Read constrained values in order from one flat unconstrained vector, and write them back."""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from .base import Constraint, Image, Shape
from .errors import BijectorError
from .registry import BijectorChoice, bijector_for
from .rule import Rules
from .table import RULES


class Joint:
    """A cursor on one flat unconstrained vector.

    Values are taken in order, so a set may depend on values taken before it. A cursor lives
    within one traced evaluation and adds up the log densities that the maps report.

    Args:
        flat: The vector, shape (size,).
        rules: The rules by which sets choose their maps.

    Attributes:
        log_det: Sum of the log-determinants so far, in nats.
        auxiliary: Sum of the auxiliary log densities so far, in nats.
        position: How many numbers have been read.
    """

    def __init__(self, flat: Float[Array, "size"], rules: Rules = RULES) -> None:
        self._flat, self._rules = flat, rules
        self.position = 0
        self.log_det = self.auxiliary = jnp.zeros((), flat.dtype)

    def take(
        self,
        name: str,
        constraint: Constraint,
        shape: Shape | None = None,
        choice: BijectorChoice = None,
    ) -> Image:
        """Read the next value, a member of `constraint` of shape `shape`."""
        shape = constraint.declared_shape if shape is None else shape
        bijector = bijector_for(constraint, shape, choice, self._rules, name)
        image = bijector.image(self.read(bijector.unconstrained_shape(shape), name))
        self.log_det = self.log_det + image.log_det
        self.auxiliary = self.auxiliary + image.auxiliary
        return image

    def read(self, shape: Shape, name: str) -> Array:
        """Read the next numbers unchanged, as an array of shape `shape`."""
        end = self.position + math.prod(shape)
        if end > self._flat.shape[0]:
            raise BijectorError(
                name,
                f"the flat vector has {self._flat.shape[0]} numbers, but {end} are needed",
                "Read the vector with the same sites, in the same order, as it was written.",
            )
        piece = self._flat[self.position : end].reshape(shape)
        self.position = end
        return piece


class Flattener:
    """The inverse of `Joint`: takes constrained values and writes the flat vector.

    Args:
        rules: The rules by which sets choose their maps.
    """

    def __init__(self, rules: Rules = RULES) -> None:
        self._rules = rules
        self._pieces: list[Array] = []

    def put(
        self,
        name: str,
        constraint: Constraint,
        value: Num[Array, "..."],
        choice: BijectorChoice = None,
    ) -> Image:
        """Write one value and return its image, as `Joint.take` would when reading it."""
        bijector = bijector_for(constraint, value.shape, choice, self._rules, name)
        y = bijector.inverse(value)
        self._pieces.append(y.reshape(-1))
        return bijector.image(y)._replace(value=value)

    def write(self, piece: Float[Array, "n"]) -> None:
        """Write numbers unchanged."""
        self._pieces.append(piece)

    def flat(self) -> Float[Array, "size"]:
        """Return the vector written so far."""
        return jnp.concatenate(self._pieces) if self._pieces else jnp.zeros((0,))
