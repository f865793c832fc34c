"""Pack a state into few arrays: each array that a program takes or returns costs microseconds."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..engines.base import State


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Packed:
    """A state of some thirty small arrays, stored as one array per dtype; a pytree.

    Attributes:
        parts: Arrays by the name of their dtype, shape (..., numbers).
        structure: Pytree structure of the state.
        outline: Shape and dtype name of each leaf, in order, without leading axes.
        on_host: Whether NumPy advances the state; see `run.stepped`.
    """

    parts: dict[str, Any]
    structure: Any = field(metadata={"static": True})
    outline: tuple[tuple[tuple[int, ...], str], ...] = field(metadata={"static": True})
    on_host: bool = field(default=False, metadata={"static": True})

    def unpack(self) -> State:
        """Return the state, with the leading axes of the parts."""
        rest = dict(self.parts)
        leaves = []
        for shape, kind in self.outline:
            part, size = rest[kind], int(np.prod(shape))
            leaves.append(part[..., :size].reshape((*part.shape[:-1], *shape)))
            rest[kind] = part[..., size:]
        return jax.tree.unflatten(self.structure, leaves)

    def __reduce__(self) -> tuple[Any, ...]:
        # A pytree structure cannot be pickled.
        lead = next(iter(self.parts.values())).ndim - 1
        return pack, (self.unpack(), lead, self.on_host)


def pack(state: State, lead: int = 0, on_host: bool = False) -> Packed:
    """Pack a state.

    Args:
        state: A pytree of arrays, all NumPy or all JAX.
        lead: Number of leading axes to keep.
        on_host: As in `Packed`.
    """
    leaves, structure = jax.tree.flatten(state)
    join = np.concatenate if isinstance(leaves[0], np.ndarray) else jnp.concatenate
    flat: dict[str, list[Any]] = {}
    for leaf in leaves:
        flat.setdefault(str(leaf.dtype), []).append(leaf.reshape((*leaf.shape[:lead], -1)))
    parts = {kind: join(own, axis=-1) for kind, own in sorted(flat.items())}
    outline = tuple((tuple(leaf.shape[lead:]), str(leaf.dtype)) for leaf in leaves)
    return Packed(parts, structure, outline, on_host)
