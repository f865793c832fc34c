"""Array types for annotations, and the signature for which a program is compiled."""

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

Scalar = Float[Array, ""]
Vector = Float[Array, "size"]

# Options of JAX that change what a function is traced to.
CONFIGURATION = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")


class ProgramSignature(NamedTuple):
    """Everything about a pytree that a compiled program depends on; hashable.

    Attributes:
        structure: Structure of the pytree, including everything static.
        leaves: Shape, dtype and weak type of each leaf.
        configuration: Values of the `CONFIGURATION` options of JAX.
    """

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], Any, bool], ...]
    configuration: tuple[Hashable, ...]

    def outline(self) -> Any:
        """Build the pytree with shapes and dtypes in place of arrays."""
        leaves = [jax.ShapeDtypeStruct(s, t, weak_type=w) for s, t, w in self.leaves]
        return jax.tree.unflatten(self.structure, leaves)


def signature_of(tree: Any) -> ProgramSignature:
    """Return the signature of a program that takes a pytree."""
    leaves, structure = jax.tree.flatten(tree)
    configuration = tuple(getattr(jax.config, name) for name in CONFIGURATION)
    return ProgramSignature(structure, tuple(map(_signature_of_leaf, leaves)), configuration)


def _signature_of_leaf(leaf: Any) -> tuple[tuple[int, ...], Any, bool]:
    if isinstance(leaf, np.ndarray) and jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype:
        # Same as below, but ten times as fast; a run does this for fifty arrays in every window.
        return leaf.shape, leaf.dtype, False
    kind = jax.typeof(leaf)
    return kind.shape, kind.dtype, getattr(kind, "weak_type", False)
