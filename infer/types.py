"""Array types for annotations, and the signature for which a program is compiled."""

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

Scalar = Float[Array, ""]
Vector = Float[Array, "size"]

# Options of JAX that change what a function is traced to.
CONFIGURATION = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion")


class Scratch(NamedTuple):
    """Memory in a state that is not read after a draw is complete until it is written again.

    A chain that has all its draws need not keep it. In NUTS it is most of the state.
    """

    memory: Array


class ProgramSignature(NamedTuple):
    """Everything about a pytree that a compiled program depends on; hashable.

    Attributes:
        structure: Structure of the pytree, including everything static.
        leaves: Shape, dtype and weak type of each leaf, and where it is unless that is the default.
        configuration: Values of the `CONFIGURATION` options of JAX.
    """

    structure: Any
    leaves: tuple[tuple[tuple[int, ...], Any, bool, Any], ...]
    configuration: tuple[Hashable, ...]

    def outline(self) -> Any:
        """Build the pytree with shapes and dtypes in place of arrays."""
        leaves = [jax.ShapeDtypeStruct(s, t, weak_type=w) for s, t, w, _ in self.leaves]
        return jax.tree.unflatten(self.structure, leaves)


def signature_of(tree: Any) -> ProgramSignature:
    """Return the signature of a program that takes a pytree."""
    leaves, structure = jax.tree.flatten(tree)
    configuration = tuple(getattr(jax.config, name) for name in CONFIGURATION)
    return ProgramSignature(structure, tuple(map(_signature_of_leaf, leaves)), configuration)


def _signature_of_leaf(leaf: Any) -> tuple[tuple[int, ...], Any, bool, Any]:
    if isinstance(leaf, np.ndarray) and jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype:
        # Same as below, but ten times as fast; a run does this for fifty arrays in every window.
        return leaf.shape, leaf.dtype, False, None
    kind = jax.typeof(leaf)
    weak = getattr(kind, "weak_type", False)
    return kind.shape, kind.dtype, weak, _find_sharding(leaf)


def _find_sharding(leaf: Any) -> Any:
    """Return the sharding of an array that was put elsewhere than the first device; else `None`."""
    if not isinstance(leaf, jax.Array) or isinstance(leaf, Tracer) or not leaf.committed:
        return None
    return None if leaf.devices() == {jax.local_devices()[0]} else leaf.sharding
