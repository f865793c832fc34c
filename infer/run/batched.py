"""What chains that share a program do at a tick, so that an accelerator launches little for it.

XLA writes the new value of an array of a loop's carry over the old one. If the body still reads the
old one by then, XLA copies it first, in a kernel of its own. A state of NUTS has some thirty arrays
of five shapes, so those of the same shape are stacked. The host of an accelerator waits for the
answer to whether a loop goes on, so it asks only after some ticks. `benchmarks/accelerator.py`
counts what a tick launches.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ..engines.base import Engine, State
from ..types import Scratch

STRIDE = 8


def choose_stride(engine: Engine) -> Int[Array, ""]:
    """Return the number of ticks before the next question whether to go on."""
    if engine.scope == "population":  # Its chains end together, and a tick of SMC is a whole stage.
        return jnp.int32(1)
    return jax.lax.platform_dependent(cpu=lambda: jnp.int32(1), default=lambda: jnp.int32(STRIDE))


def repeat(body: Callable[[Any], Any], engine: Engine) -> Callable[[Any], Any]:
    """Repeat the body of a loop several times, which may overrun the limit of a block.

    The number is a constant, since otherwise XLA asks the host before each of them.
    """
    stride = choose_stride(engine)
    return lambda carry: jax.lax.fori_loop(0, stride, lambda _, own: body(own), carry)


def keep_idle(active: Bool[Array, "group"], new: State, old: State) -> State:
    """Keep the state of chains that are idle, except for memory that they will not read."""

    def choose(a: Any, b: Any) -> Any:
        if isinstance(a, Scratch):
            return a
        return jnp.where(active.reshape(-1, *(1,) * (a.ndim - 1)), a, b)

    return jax.tree.map(choose, new, old, is_leaf=lambda a: isinstance(a, Scratch))


def stack(state: State) -> list[Array]:
    """Stack arrays of the same shape and type along a new leading axis."""
    leaves = jax.tree.leaves(state)
    return [jnp.stack([leaves[i] for i in own]) for own in _find_alike(leaves)]


def unstack(stacks: list[Array], like: State) -> State:
    """Return the state of which `stack` made these; `like` has its structure and shapes."""
    leaves, structure = jax.tree.flatten(like)
    for own, parts in zip(_find_alike(leaves), stacks, strict=True):
        for i, part in zip(own, parts, strict=True):
            leaves[i] = part
    return jax.tree.unflatten(structure, leaves)


def _find_alike(leaves: list[Any]) -> list[list[int]]:
    """Return the indices of arrays that are alike, together."""
    found: dict[Any, list[int]] = {}
    for i, leaf in enumerate(leaves):
        found.setdefault((leaf.shape, leaf.dtype), []).append(i)
    return list(found.values())
