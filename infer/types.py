"""Shapes and kinds of numbers: what signatures speak of, and what programs are made for."""

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

Scalar = Float[Array, ""]
Vector = Float[Array, "size"]

# What else in JAX's configuration changes what a function becomes.
CONFIGURATION = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")


class ProgramSignature(NamedTuple):
    """All of a pytree that a program is made for; hashable.

    Attributes:
        structure: How the leaves form it, with everything static.
        leaves: Shape, type and weakness of the type of each leaf.
        configuration: What JAX's configuration adds to that.
    """

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], Any, bool], ...]
    configuration: tuple[Hashable, ...]

    def outline(self) -> Any:
        """Put a pytree together that has shapes and types in the place of numbers."""
        leaves = [jax.ShapeDtypeStruct(s, t, weak_type=w) for s, t, w in self.leaves]
        return jax.tree.unflatten(self.structure, leaves)


def signature_of(tree: Any) -> ProgramSignature:
    """Tell what a program that takes a pytree is made for."""
    leaves, structure = jax.tree.flatten(tree)
    configuration = tuple(getattr(jax.config, name) for name in CONFIGURATION)
    return ProgramSignature(structure, tuple(map(_signature_of_leaf, leaves)), configuration)


def _signature_of_leaf(leaf: Any) -> tuple[tuple[int, ...], Any, bool]:
    if isinstance(leaf, np.ndarray) and jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype:
        # As below, but ten times as fast; a run asks this of fifty arrays in every window.
        return leaf.shape, leaf.dtype, False
    kind = jax.typeof(leaf)
    return kind.shape, kind.dtype, getattr(kind, "weak_type", False)
