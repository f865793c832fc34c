"""Run the loop on the host, around a program for the gradient, so that this is compiled once.

The program of a whole loop contains the density, and so takes longer to compile than the program
that evaluates the starts, by a second or more. A loop on the host calls that one, and the rest of a
tick, in NumPy, takes 0.1 ms. This is worth it if a gradient takes longer, or for a few chains
whose program does not run again and again.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import lru_cache, partial
from typing import Any, TypeGuard

import equinox as eqx
import jax
import numpy as np

from ..density.family import Family
from ..density.points import Points, evaluate_batch, evaluate_leaves
from ..engines.asking import AskingEngine
from ..engines.base import Engine, Tick, Tuning
from ..programs.native import CompiledProgram, compile_program, prepare
from ..programs.work import count_work
from ..target import Components
from ..types import ProgramSignature, signature_of
from .long_chains import LONG, go_on
from .loop import Block, Order, RecordFormat, TargetAndTuning
from .packed import Packed, pack

# Numbers that a costly gradient computes, which takes some milliseconds: see `count_work`.
COSTLY = 2**21
# Chains that count as few, and runs of a program in this process after which the loop is compiled:
# 16 chains of 100 ticks take 0.3 s on the host, and the loop of a small model 1 s to compile.
FEW, REPEATED = 16, 2
MAX_REMEMBERED = 64
_runs: OrderedDict[Hashable, int] = OrderedDict()


def choose_host(engine: Engine, family: Family, chains: int, width: int) -> bool:
    """Return whether a new run of `chains` chains, `width` in a program, is stepped on the host.

    Data play no part, but earlier runs do: the third one of the same program is compiled. What a
    run began with stays with its states, so that a resumed run goes on in the same way. No last bit
    of several data sets may depend on how many they are.
    """
    asks = isinstance(engine, AskingEngine) and engine.asks and width == 1
    if not asks or jax.default_backend() != "cpu":
        return False
    is_new = _count_run(engine, family) <= REPEATED
    return (family.count == 1 and chains <= FEW and is_new) or is_costly(family)


def _count_run(engine: Engine, family: Family) -> int:
    """Count one more run of a program."""
    key = engine, signature_of((family.shared, family.own))
    _runs[key] = _runs.pop(key, 0) + 1
    if len(_runs) > MAX_REMEMBERED:
        _runs.popitem(last=False)
    return _runs[key]


def is_stepped(engine: Engine, states: Packed) -> TypeGuard[AskingEngine]:
    """Return whether the loop is on the host, as the states of its chains show."""
    return states.on_host and isinstance(engine, AskingEngine)


def is_costly(family: Family) -> bool:
    """Return whether a gradient takes some milliseconds on a CPU."""
    own = jax.tree.map(lambda a: a[:1], family.own)
    return _is_costly(signature_of((family.shared, own)))


@lru_cache(maxsize=64)
def _is_costly(signature: ProgramSignature) -> bool:
    shared, own = signature.outline()
    position = jax.ShapeDtypeStruct((1, shared.size), jax.dtypes.canonicalize_dtype(float))
    with jax.threefry_partitionable(True):
        program = jax.make_jaxpr(evaluate_batch)(shared, own, position)
    return count_work(program) > COSTLY


def prepare_gradient(arguments: tuple[Any, ...]) -> None:
    """Begin to compile the gradient in a thread of its own; see `compile_gradient`."""
    prepare(evaluate_leaves, *_outline_evaluation(arguments), "kernels")


def compile_gradient(
    engine: AskingEngine, arguments: tuple[Any, ...]
) -> tuple[CompiledProgram, bool]:
    """Compile the gradient, unless it is kept; return what is called as the program of a loop.

    Args:
        engine: The engine.
        arguments: Examples of what `run_block` takes; only shapes and dtypes matter.

    Returns:
        The program, and whether it is new.
    """
    made, is_new = compile_program(evaluate_leaves, *_outline_evaluation(arguments), "kernels")
    assert isinstance(made, CompiledProgram)
    shared, own, states, _ = arguments
    tuning = eqx.combine(shared.tuning, jax.tree.map(lambda a: a[0], own.tuning))
    record = find_format_on_host(engine, tuning, states, shared.target.size).record
    return made._replace(
        call=partial(_run_block, engine, made.call, partial(go_on, engine, record))
    ), is_new


def begin_on_host(engine: AskingEngine, points: Points) -> Packed:
    """Make the states of all chains without a compiled program, packed, along a leading axis."""
    rows = zip(points.positions, *map(list, points[1:]), strict=True)
    states = [engine.begin(position.copy(), Components(*here)) for position, *here in rows]
    return pack(jax.tree.map(lambda *leaves: np.stack(leaves), *states), 1, on_host=True)


def find_format_on_host(
    engine: AskingEngine, tuning: Tuning, states: Packed, size: int
) -> RecordFormat:
    """Find the format of an engine's records from one tick, with a log density of 0."""
    state, blank = _copy_first(states), np.zeros(size, jax.dtypes.canonicalize_dtype(float))
    with np.errstate(all="ignore"):
        _, tick = engine.tell(tuning, state, blank[:1].sum(), blank)
    dtypes = {name: np.asarray(stat).dtype for name, stat in tick.stats.items()}
    return RecordFormat(tick.position.shape[-1], tick.gradient.shape[-1], dtypes)


def _outline_evaluation(
    arguments: tuple[Any, ...],
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the static arguments of `evaluate_leaves`, and examples of the others."""
    shared, own, *_ = arguments
    leaves, structure = jax.tree.flatten((shared.target, own.target))
    position = np.zeros((1, shared.target.size), jax.dtypes.canonicalize_dtype(float))
    return (structure,), (leaves, position)


def _run_block(
    engine: AskingEngine, evaluate: Callable[..., Components], in_loop: Callable[..., Block],
    shared: TargetAndTuning, own: TargetAndTuning, packed: Packed, order: Order,
) -> Block:  # fmt: skip
    """Do as `run_block` does, for a chain alone, with NumPy."""
    tuning = eqx.combine(shared.tuning, jax.tree.map(lambda a: a[0], own.tuning))
    leaves = jax.tree.leaves((shared.target, own.target))
    state, rows, tick, ticks = _copy_first(packed), [], None, 0
    left = LONG - engine.best(state).n_gradients
    if left <= 0:
        # Found out for long chains alone, because it traces the density once more.
        if not _is_costly(signature_of((shared.target, own.target))):
            return in_loop(shared, own, packed, order)
        left = order.limit
    with np.errstate(all="ignore"):
        while len(rows) < order.wanted[0] and ticks < min(order.limit, left):
            here = evaluate(leaves, engine.ask(state)[None])
            value, gradient = np.asarray(here.value)[0], np.asarray(here.gradient)[0]
            state, tick = engine.tell(tuning, state, value, gradient)
            rows += [_join_record(tick)] if tick.complete else []
            ticks += 1
    # The record of an unfinished tick has the width of the others.
    joined = np.stack(rows or [_join_record(tick)])[: len(rows)]  # pyright: ignore[reportArgumentType]
    filled = np.array([len(rows)], np.int32)
    made = _pack_like(packed, state), joined[None], filled, np.int32(ticks)
    return Block(*made)  # pyright: ignore[reportArgumentType]


def _join_record(tick: Tick) -> np.ndarray:
    """Write a tick as a record; see `RecordFormat`."""
    dtype = tick.position.dtype
    numbers = [np.asarray(tick.stats[name], dtype)[None] for name in sorted(tick.stats)]
    return np.concatenate([tick.position, tick.gradient, *numbers])


def _copy_first(packed: Packed) -> Any:
    """Return the state of the only chain; its arrays may be changed."""
    return jax.tree.map(lambda a: np.asarray(a)[0].copy(), packed.unpack())


def _pack_like(packed: Packed, state: Any) -> Packed:
    """Pack a state of one chain, with the dtypes that it had."""
    kinds = [kind for _, kind in packed.outline]
    leaves = [
        np.asarray(a, kind)[None] for a, kind in zip(jax.tree.leaves(state), kinds, strict=True)
    ]
    return pack(jax.tree.unflatten(packed.structure, leaves), 1, on_host=True)
