"""The program of a block: what the loop is compiled for, and what it is called with."""

from typing import Any

import numpy as np

from ..density.family import Family, without_leaves
from ..density.recentered import recenter
from ..engines.base import Engine
from ..programs.native import CompiledProgram, Refusal, compile_program, prepare
from .devices import Plan
from .loop import RecordFormat, TargetAndTuning, find_record_format
from .placing import put
from .sharing import Place
from .stepped import compile_gradient, find_format_on_host, is_stepped, prepare_gradient
from .turns import Own, choose_program
from .warmup import Warmup

# Bytes of the rows of all chains of a program, and of one chain. Each block sets its rows to zero,
# and fewer blocks cost less.
BUFFER_BYTES = 64 * 2**20
CHAIN_BYTES = 2 * 2**20


def find_format(engine: Engine, family: Family, warmup: Warmup) -> RecordFormat:
    """Find how the engine's ticks are recorded."""
    tuning, states = warmup.tuning_of(0), warmup.groups[0].state
    target = recenter(family, warmup.centering).member(0)
    if is_stepped(engine, states):
        return find_format_on_host(engine, tuning, states, target.size)
    return find_record_format(engine, target, tuning, states)


def prepare_loop(
    engine: Engine, family: Family, warmup: Warmup, plan: Plan, place: Place = ()
) -> None:
    """Begin to compile the loop in a thread of its own; only shapes and types matter."""
    if is_stepped(engine, warmup.groups[0].state):
        prepare_gradient(_arguments(family, warmup, place))
        return
    signature = _signature(engine, family, warmup, plan, place)
    prepare(choose_program(plan), *signature, plan.form)


def compile_loop(
    engine: Engine, family: Family, warmup: Warmup, plan: Plan, place: Place = ()
) -> tuple[CompiledProgram | Refusal, bool]:
    """Compile the loop for a place, or find it among the programs compiled before."""
    if is_stepped(engine, warmup.groups[0].state):
        return compile_gradient(engine, _arguments(family, warmup, place))
    signature = _signature(engine, family, warmup, plan, place)
    return compile_program(choose_program(plan), *signature, plan.form)


def share(family: Family, warmup: Warmup) -> TargetAndTuning:
    """Return the arrays that all chains share."""
    tuning = warmup.tuning if family.count == 1 else without_leaves(warmup.tuning)
    return TargetAndTuning(recenter(family, warmup.centering).shared, tuning)


def _signature(
    engine: Engine, family: Family, warmup: Warmup, plan: Plan, place: Place
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the static arguments of `run_block`, and examples of the others."""
    record = find_format(engine, family, warmup).record
    capacity = _capacity(record, len(warmup.groups[0].chains), plan.rows)
    return (engine, capacity, record), _arguments(family, warmup, place)


def _arguments(family: Family, warmup: Warmup, place: Place) -> tuple[Any, ...]:
    group = warmup.groups[0]
    own = Own(family, warmup).take(group)
    # Only shapes and types matter; JAX checks that all processes put the same numbers.
    order = group.order(0, 0)._replace(limit=np.int32(1))  # pyright: ignore[reportArgumentType]
    arguments = share(family, warmup), own, group.state, order
    return put(arguments, place) if place else arguments


def _capacity(record: int, width: int, most: int) -> int:
    """Return how many rows fit the buffer: a power of two, so that few programs differ in it."""
    rows = min(BUFFER_BYTES // width, CHAIN_BYTES) // (8 * record)
    return int(np.clip(2 ** int(np.log2(max(rows, 1))), 1, most))
