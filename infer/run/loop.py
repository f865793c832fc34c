"""The one sampling loop: tick one chain or a group of chains, and write each draw to a row."""

from functools import lru_cache
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array, Bool, Float, Int, UInt32

from ..engines.base import CHAINS, Draws, Engine, State, Tick, Tuning
from ..numerics.keys import GENERATOR, wrap_key
from ..programs.by_name import name_errors
from ..programs.outlined import recalled
from ..target import Target
from ..types import ProgramSignature, signature_of
from .batched import keep_idle, repeat, stack, unstack
from .packed import Packed, pack

# Window 0 is sampling, so that ending warm-up early does not change the keys of the draws.
SAMPLING = 0


class Order(NamedTuple):
    """What one block of one group has to do; all fields are traced.

    Attributes:
        keys: Key data of each chain, shape (group, 2).
        window: Index of the window that the draws belong to; folded into the keys.
        drawn: Number of draws of this window made so far, shape (group,).
        wanted: Number of draws of this window still to make, shape (group,).
        limit: Number of ticks after which to return; does not affect draws.
        entering: Whether the window begins here, shape (group,).
    """

    keys: UInt32[Array, "group 2"] | np.ndarray
    window: UInt32[Array, ""] | np.ndarray
    drawn: Int[Array, "group"] | np.ndarray
    wanted: Int[Array, "group"] | np.ndarray
    limit: Int[Array, ""] | np.ndarray
    entering: Bool[Array, "group"] | np.ndarray


class Block(NamedTuple):
    """What one block returns.

    Attributes:
        state: Packed state of each chain, with the chains along the leading axis.
        rows: Records of the draws, shape (group, capacity + 1, width of a record).
        filled: Number of rows that each chain filled, shape (group,).
        ticks: Number of ticks of the group; each computes a gradient for every chain, idle or not.
    """

    state: Packed
    rows: Float[Array, "group rows record"]
    filled: Int[Array, "group"]
    ticks: Int[Array, ""]


class RecordFormat(NamedTuple):
    """Layout of a tick as one record: position, gradient, then statistics sorted by name."""

    width: int
    gradient_width: int
    dtypes: dict[str, np.dtype]

    @property
    def record(self) -> int:
        """Number of entries in one record."""
        return self.width + self.gradient_width + len(self.dtypes)

    def unpack(self, rows: np.ndarray) -> Draws:
        """Split records of shape (chains, draws, record) into their parts."""
        positions, gradients, numbers = np.split(
            rows, [self.width, self.width + self.gradient_width], axis=-1
        )
        stats = {
            name: numbers[..., i].astype(dtype)
            for i, (name, dtype) in enumerate(sorted(self.dtypes.items()))
        }
        return Draws(positions, gradients, stats)


def find_record_format(
    engine: Engine, target: Target, tuning: Tuning, states: Packed
) -> RecordFormat:
    """Find the format of an engine's records from one abstract tick of one chain."""
    return _find_record_format(engine, signature_of((target, tuning, states)))


@lru_cache(maxsize=64)
@recalled
def _find_record_format(engine: Engine, signature: ProgramSignature) -> RecordFormat:
    target, tuning, states = signature.outline()
    state = jax.eval_shape(lambda packed: _first(packed).unpack(), states)
    _, (_, tick) = _trace_tick(engine, signature_of((target, tuning, state)))
    dtypes = {name: np.dtype(stat.dtype) for name, stat in tick.stats.items()}
    return RecordFormat(tick.position.shape[-1], tick.gradient.shape[-1], dtypes)


@lru_cache(maxsize=64)
def _trace_tick(
    engine: Engine, signature: ProgramSignature
) -> tuple[ClosedJaxpr, tuple[State, Tick]]:
    """Trace the tick of one chain, once for both record format and loop; also return its shapes."""
    key = jax.eval_shape(lambda: jax.random.key(0, impl=GENERATOR))
    tick = engine.tick
    if engine.scope == "population":
        # A population of one, since a tick may use collectives along the axis of the chains.
        tick = jax.vmap(tick, in_axes=None, axis_size=1, axis_name=CHAINS)
    with jax.threefry_partitionable(True), name_errors():
        return jax.make_jaxpr(tick, return_shape=True)(key, *signature.outline())


def _tick(engine: Engine, key: Array, target: Target, tuning: Tuning, state: State):
    """Tick one chain; reuse the traced program if the tick does not depend on other chains."""
    if engine.scope == "population":
        return engine.tick(key, target, tuning, state)
    program, outline = _trace_tick(engine, signature_of((target, tuning, state)))
    results = jaxpr_as_fun(program)(key, *jax.tree.leaves((target, tuning, state)))
    shapes, structure = jax.tree.flatten(outline)
    # Constant results come back as plain numbers.
    arrays = [jnp.asarray(a, shape.dtype) for a, shape in zip(results, shapes, strict=True)]
    return jax.tree.unflatten(structure, arrays)


class TargetAndTuning(NamedTuple):
    """The log density and the tuning, or the subset of their arrays that is shared or not shared.

    Attributes:
        target: The log density.
        tuning: Tuning of the engine.
    """

    target: Any
    tuning: Tuning


def run_block(
    engine: Engine, capacity: int, record: int,
    shared: TargetAndTuning, own: TargetAndTuning, state: Packed, order: Order,
) -> Block:  # fmt: skip
    """Tick a group until its chains have their draws, one needs more rows, or the limit is reached.

    A chain that has all its draws idles; no chain waits for another. A group of one is not
    batched, unless it is a population.

    Args:
        engine: The engine.
        capacity: Number of rows of the block.
        record: Number of entries in one row.
        shared: Arrays that all chains share; None for those that differ.
        own: Arrays of each chain, with the chains along the leading axis; None for shared ones.
        state: Packed state of each chain, likewise.
        order: What to do.
    """
    is_single = order.keys.shape[0] == 1 and engine.scope == "chain"
    vectorize = _for_single_chain if is_single else _over_chains
    begin = vectorize(_begin, engine, shared)
    start, keys = begin(own, state, order.keys, order.entering, order.window)
    tick = vectorize(_tick_one, engine, shared)
    rows = jnp.zeros((order.keys.shape[0], capacity + 1, record), _float_type(start))

    def must_go_on(carry) -> Array:
        _, _, filled, ticks = carry
        full = (filled >= capacity) & (order.wanted > capacity)
        return jnp.any(filled < order.wanted) & ~jnp.any(full) & (ticks < order.limit)

    def body(carry):
        (state, keys), rows, filled, ticks = carry
        state = state if is_single else unstack(state, start)
        ticked, rows, complete = tick(own, state, keys, order.drawn + filled, rows, filled)
        if not is_single:
            # A single chain is never idle here, and its state needs no second copy.
            active = (filled < order.wanted) & (filled < capacity)
            ticked = stack(keep_idle(active, ticked, state))
            complete = complete & active
        return (ticked, keys), rows, filled + complete.astype(filled.dtype), ticks + 1

    filled = jnp.zeros_like(jnp.asarray(order.drawn))
    carry = ((start if is_single else stack(start), keys), rows, filled, jnp.int32(0))
    ticking = body if is_single else repeat(body, engine)
    (ticked, _), rows, filled, ticks = jax.lax.while_loop(must_go_on, ticking, carry)
    ticked = ticked if is_single else unstack(ticked, start)
    return Block(vectorize(pack)(ticked), rows, filled, ticks)


def _begin(engine, shared, own, state, key_data, entering, window):
    warming = window != SAMPLING
    key = wrap_key(key_data)
    window_key = jax.random.key_data(jax.random.fold_in(key, window))
    state = state.unpack()
    at_entry = engine.enter(eqx.combine(shared.tuning, own.tuning), state, warming)
    return jax.tree.map(lambda a, b: jnp.where(entering, a, b), at_entry, state), window_key


def _tick_one(engine, shared, own, state, key_data, draw, rows, filled):
    target, tuning = eqx.combine(shared, own)
    window_key = wrap_key(key_data)
    key = jax.random.fold_in(window_key, draw)
    state, tick = _tick(engine, key, target, tuning, state)
    # The next tick overwrites an unfinished draw; an idle chain writes to a row that is never read.
    rows = jax.lax.dynamic_update_index_in_dim(rows, _pack(tick, rows.dtype), filled, 0)
    return state, rows, tick.complete


def _pack(tick: Tick, dtype: Any) -> Array:
    stats = [tick.stats[name].astype(dtype)[None] for name in sorted(tick.stats)]
    return jnp.concatenate([tick.position, tick.gradient, *stats])


def _over_chains(function, *shared):
    """Batch a function over chains; 0-d arguments, which all chains share, are not batched."""

    def batched(*arguments):
        axes = [None if isinstance(a, Array | np.ndarray) and a.ndim == 0 else 0 for a in arguments]
        one = lambda *own: function(*shared, *own)  # noqa: E731
        return jax.vmap(one, in_axes=axes, axis_name=CHAINS)(*arguments)

    return batched


def _for_single_chain(function, *shared):
    """Apply a function to the only chain of the group, without batching."""

    def apply(*arguments):
        own = [a if isinstance(a, Array) and a.ndim == 0 else _first(a) for a in arguments]
        return jax.tree.map(lambda a: a[None], function(*shared, *own))

    return apply


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda a: a[0], tree)


def _float_type(state: State) -> Any:
    floats = [a.dtype for a in jax.tree.leaves(state) if jnp.issubdtype(a.dtype, jnp.floating)]
    return floats[0]
