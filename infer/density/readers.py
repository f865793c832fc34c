"""Readers that run a model at a flat vector, or at constrained values."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from bijectors.base import Image
from bijectors.joint import Flattener, Joint
from bijectors.rule import Rules

from ..errors import ModelError
from ..models.inputs.foreign import refuse_masked
from ..models.inputs.units import refuse_units
from ..models.protocol.minibatch import Minibatch
from ..models.protocol.reader import Reader
from ..models.protocol.site import Declaration
from ..models.protocol.steps import Repeated, Steps
from ..models.readers import Values
from ..types import Vector
from .refusals import refuse_outside


class FlatReader(Reader):
    """Read every site from one flat vector."""

    def __init__(self, position: Vector, rules: Rules, rows: Mapping[str, Array]) -> None:
        self.joint, self._rules, self._rows = Joint(position, rules), rules, rows
        self.log_dets: dict[str, Array] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        image = self.joint.take(d.name, d.constraint, d.shape, d.bijector)
        self.log_dets[d.name] = image.log_det + image.auxiliary
        return image

    def rows(self, minibatch: Minibatch) -> Array | None:
        return self._rows.get(minibatch.plate)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        joint = self.joint
        for_step = lambda piece: FlatReader(piece, self._rules, self._rows)  # noqa: E731
        if not repeated:
            # Sums of zeros would keep a loop that nothing else needs.
            return Steps(jnp.zeros((length, 0)), for_step, lambda _: None, lambda *_: None)
        pieces = [joint.read((length, site.size), site.name) for site in repeated]

        def close(reports: tuple[Array, Array, dict[str, Array]], _: list[Declaration]) -> None:
            joint.log_det = joint.log_det + reports[0].sum()
            joint.auxiliary = joint.auxiliary + reports[1].sum()
            self.log_dets |= {name: own.sum() for name, own in reports[2].items()}

        return Steps(
            jnp.concatenate(pieces, axis=1),
            for_step,
            lambda reader: (reader.joint.log_det, reader.joint.auxiliary, reader.log_dets),
            close,
        )


class ConstrainedReader(Reader):
    """Read every site from constrained values, by name, and add up the maps' log-determinants."""

    def __init__(self, values: Mapping[str, Array], rules: Rules, jacobian: bool) -> None:
        self._values, self._rules, self._jacobian = values, rules, jacobian
        self._flattener = Flattener(rules)
        self.log_det: Array | float = 0.0

    def take(self, declaration: Declaration) -> Image:
        d, value = declaration, self._values[declaration.name]
        if self._jacobian:
            image = self._flattener.put(d.name, d.constraint, value, d.bijector)
            self.log_det = self.log_det + image.log_det + image.auxiliary
        return Image.of(value)

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        own = {site.name: self._values[site.name] for site in repeated}

        def close(log_dets: Array, _: list[Declaration]) -> None:
            self.log_det = self.log_det + log_dets.sum()

        for_step = lambda values: ConstrainedReader(values, self._rules, self._jacobian)  # noqa: E731
        return Steps(own, for_step, lambda reader: jnp.asarray(reader.log_det), close)


class CheckedValues(Values):
    """Check each value that is concrete against its set, before the model computes with it."""

    def take(self, declaration: Declaration) -> Image:
        refuse_outside(declaration, self._values[declaration.name])
        return super().take(declaration)


def as_arrays(values: Mapping[str, Any]) -> dict[str, np.ndarray | Array]:
    """Convert values of sites to arrays; refuse those with units or masked entries."""
    for name, value in values.items():
        refuse_units(name, value, "its value")
        refuse_masked(name, value, "its value", "Give a value for each entry.")
    return {n: v if isinstance(v, jax.Array) else np.asarray(v) for n, v in values.items()}


def as_vector(position: Any, size: int) -> Vector:
    """Return a point as a flat vector of floating-point numbers, shape (size,).

    Args:
        position: What was given as the point.
        size: Number of entries that it must have.

    Raises:
        ModelError: It is not a vector of `size` numbers.
    """
    if isinstance(position, Mapping):
        mend = "Give the flat vector density.unconstrain(values), or call density.of(values)."
        raise ModelError("position", "values by name are given", mend)
    if np.shape(position) != (size,):
        raise ModelError(
            "position",
            f"its shape is {np.shape(position)}, and the log density is of {size} numbers",
            f"Give a vector of shape ({size},), such as density.unconstrain(values); jax.vmap maps "
            "over many.",
        )
    array: Any = position if hasattr(position, "astype") else np.asarray(position)
    return array if jnp.issubdtype(array.dtype, jnp.inexact) else as_inexact(array)


def as_inexact(value: np.ndarray | Array) -> Array:
    """Convert a value to JAX's floating or complex type; a concrete one stays concrete."""
    dtype = jnp.result_type(complex if jnp.iscomplexobj(value) else float)
    if isinstance(value, Tracer):
        return value.astype(dtype)
    # A concrete number stays concrete inside a program that is being traced.
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value, dtype)
