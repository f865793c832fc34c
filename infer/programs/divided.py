"""Programs whose arguments are divided over several devices: XLA sums over the devices."""

from collections.abc import Callable
from threading import Lock
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

_locks: dict[frozenset[Any], Lock] = {}


def _find_mesh(arguments: Any) -> Any:
    """Return the mesh of devices over which some array is divided; `None` if none is."""
    shardings = (getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(arguments))
    named = (own for own in shardings if isinstance(own, NamedSharding))
    return next((own.mesh for own in named if len(own.device_set) > 1), None)


def explain_division(arguments: Any) -> str:
    """Say why a program over several devices has no native form; empty if it is over one."""
    mesh = _find_mesh(arguments)
    if mesh is None:
        return ""
    return f"rows are divided over {mesh.size} devices, and native loops cannot sum over devices"


def replicate_results(arguments: Any) -> dict[str, Any]:
    """Return the option of `jax.jit` that puts whole results on every device."""
    mesh = _find_mesh(arguments)
    return {} if mesh is None else {"out_shardings": NamedSharding(mesh, PartitionSpec())}


def in_turn(call: Callable[..., Any], arguments: Any) -> Callable[..., Any]:
    """Let programs over the same devices take turns.

    Each device must meet them in the same order: two programs that threads start at once could each
    wait on one device for a sum that the other blocks on another.
    """
    lock = _locks.setdefault(frozenset(_find_mesh(arguments).devices.flat), Lock())

    def call_alone(*given: Any) -> Any:
        with lock:
            return jax.block_until_ready(call(*given))

    return call_alone
