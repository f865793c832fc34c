"""Chains that one call of a native program advances one after the other: a call takes time too."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ..density.family import Family, without_leaves
from ..density.recentered import recenter
from ..engines.base import Engine
from ..programs.native import CompiledProgram
from .collect import Group
from .devices import Plan
from .loop import Block, Order, TargetAndTuning, run_block
from .packed import Packed
from .warmup import Warmup

# Minimum number of calls of each thread to a window, and maximum number of chains in a call.
CALLS, MAX_TURNS = 8, 64
# Draws of a chain in a block if chains are called together: their rows are set to zero each time.
FEW_ROWS = 256


def call_together(plan: Plan, chains: int, densities: int) -> Plan:
    """Let a call advance several chains if there are many densities.

    Their number is a power of two, so that few programs differ in it, and every thread makes
    several calls to a window, so that all are busy until the end.
    """
    if densities == 1 or not plan.is_native:
        return plan
    most = min(chains // (CALLS * plan.threads), MAX_TURNS)
    turns = 2 ** int(np.log2(max(most, 1)))
    return plan if turns == 1 else plan._replace(turns=turns, rows=FEW_ROWS)


def choose_program(plan: Plan) -> Callable[..., Block]:
    """Return the program of a block."""
    return run_block if plan.turns == 1 else run_in_turn


class Own:
    """The arrays that not all chains share, in one window; taking some of them is quick."""

    def __init__(self, family: Family, warmup: Warmup) -> None:
        is_single = family.count == 1
        tuning = without_leaves(warmup.tuning) if is_single else warmup.tuning
        own = TargetAndTuning(recenter(family, warmup.centering).own, tuning)
        self._leaves, self._structure = jax.tree.flatten(own)
        self._each = warmup.chains // family.count

    def take(self, group: Group) -> TargetAndTuning:
        """Return the arrays of a group's chains, with the chains along the leading axis."""
        members = np.asarray(group.chains) // self._each
        return jax.tree.unflatten(self._structure, [leaf[members] for leaf in self._leaves])


def run_in_turn(
    engine: Engine, capacity: int, record: int,
    shared: TargetAndTuning, own: TargetAndTuning, state: Packed, order: Order,
) -> Block:  # fmt: skip
    """Do as `run_block` does for a group of one, chain after chain; `ticks` is that of each.

    The draws of a chain are those of a program of its own, bit for bit.
    """

    def run_one(chain: tuple[Any, Packed, dict[str, Any]]) -> Block:
        own, state, fields = jax.tree.map(lambda a: a[None], chain)
        block = run_block(engine, capacity, record, shared, own, state, order._replace(**fields))
        return jax.tree.map(lambda a: a[0], block._replace(ticks=block.ticks[None]))

    return jax.lax.map(run_one, (own, state, _by_chain(order)))


def _by_chain(order: Order) -> dict[str, Any]:
    return {name: a for name, a in order._asdict().items() if np.ndim(a)}


def call_padded(
    program: CompiledProgram, shared: TargetAndTuning, own: TargetAndTuning, group: Group,
    order: Order, chains: int,
) -> Block:  # fmt: skip
    """Call a program of more chains than a group has; those that fill it up have nothing to do."""
    count = len(group.chains)
    if count == chains:
        return program.call(shared, own, group.state, order)
    which = np.minimum(np.arange(chains), count - 1)
    own, state, fields = jax.tree.map(
        lambda a: np.asarray(a)[which], (own, group.state, _by_chain(order))
    )
    wanted = np.where(np.arange(chains) < count, fields["wanted"], 0)
    padded = order._replace(**fields | {"wanted": wanted})
    block = program.call(shared, own, state, padded)
    return jax.tree.map(lambda a: np.asarray(a)[:count], block)
