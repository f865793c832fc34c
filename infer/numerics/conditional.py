"""A log density as a function of some entries of the flat vector, the others given."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..target import Target
from ..types import Scalar, Vector

# Beginnings and ends of stretches of the vector, in the order of the entries that are taken.
Segments = tuple[tuple[int, int], ...]


def count_entries(segments: Segments) -> int:
    """Return the number of entries."""
    return sum(end - begin for begin, end in segments)


def take_entries(array: Any, segments: Segments) -> Any:
    """Take the entries along the last axis; on the host if the array is there."""
    join = np.concatenate if isinstance(array, np.ndarray) else jnp.concatenate
    return join([array[..., begin:end] for begin, end in segments], axis=-1)


def put_entries(
    vector: Float[Array, "entries"], segments: Segments, values: Float[Array, "own"]
) -> Float[Array, "entries"]:
    """Return the vector with other values of the entries."""
    done = 0
    for begin, end in segments:
        own = values[done : done + end - begin]
        vector = jnp.concatenate([vector[:begin], own, vector[end:]])
        done += end - begin
    return vector


class Conditional(Target):
    """A log density of some entries, up to a constant, with the others where they are.

    Attributes:
        whole: The log density of all entries.
        position: Where the others are; its own entries are not read.
        segments: Where the entries are.
        reference: What is subtracted from the log density of all entries, in nats.
    """

    whole: Target
    position: Float[Array | np.ndarray, "entries"]
    reference: Scalar | np.ndarray
    segments: Segments = eqx.field(static=True)

    @property
    def size(self) -> int:
        return count_entries(self.segments)

    @property
    def offers(self) -> frozenset[str]:
        return self.whole.offers & {"value", "gradient"}

    def __call__(self, position: Vector) -> Scalar:
        return self.whole.value_from(self._complete(position), jnp.asarray(self.reference))

    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        whole = self._complete(position)
        reference = jnp.asarray(self.reference)
        log_density, gradient = self.whole.evaluate_from(whole, reference)
        return log_density, take_entries(gradient, self.segments)

    def _complete(self, position: Vector) -> Float[Array, "entries"]:
        return put_entries(jnp.asarray(self.position), self.segments, position)


class StandardNormal(Target):
    """A normal of any size, to find the shapes and types of what an engine makes."""

    length: int = eqx.field(static=True)

    @property
    def size(self) -> int:
        return self.length

    @property
    def offers(self) -> frozenset[str]:
        return frozenset({"value", "gradient"})

    def evaluate(self, position: Vector) -> tuple[Scalar, Vector]:
        return -0.5 * (position**2).sum(), -position
