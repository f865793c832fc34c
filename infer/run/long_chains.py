"""Go on in a compiled loop with a chain that has been stepped on the host for long."""

from typing import Any

import jax
import numpy as np

from ..density.disagreement import Recorded, find_disagreement
from ..density.family import Family
from ..engines.asking import AskingEngine
from ..programs.native import CompiledProgram, compile_program
from ..programs.switch import native
from .loop import Block, Order, TargetAndTuning, run_block
from .packed import Packed, pack

# Gradients of a chain after which its loop is compiled: on the host they took 0.1 s, and compiling
# takes about one, so that 16 chains that are longer than this have lost as much.
LONG = 1000


def go_on(
    engine: AskingEngine, record: int, shared: TargetAndTuning, own: TargetAndTuning,
    packed: Packed, order: Order,
) -> Block:  # fmt: skip
    """Do as `stepped._run_block` does, in a compiled loop; the state keeps its form of the host.

    Args:
        engine: The engine.
        record: Number of entries in one row.
        shared: As in `run_block`, like the other arguments.
        own: Likewise.
        packed: The state of the chain, of the host.
        order: What to do.
    """
    states = pack(jax.tree.map(lambda a: np.asarray(a)[None], engine.to_loop(_first(packed))), 1)
    made, is_new = _compile(engine, record, shared, own, states, order)
    block = made.call(shared, own, states, order)
    if is_new and made.is_native and _is_wrong(engine, shared, own, block):
        native(False)
        return go_on(engine, record, shared, own, packed, order)
    state = engine.to_host(_first(block.state))
    leaves = [np.asarray(leaf)[None] for leaf in jax.tree.leaves(state)]
    again = pack(jax.tree.unflatten(packed.structure, leaves), 1, on_host=True)
    return block._replace(state=again, rows=np.asarray(block.rows))


def _compile(
    engine: AskingEngine, record: int, *arguments: Any
) -> tuple[CompiledProgram, bool]:  # fmt: skip
    """Compile the loop natively, or kernel by kernel if it has no native form."""
    made, is_new = compile_program(run_block, (engine, 1, record), arguments, "native")
    if not isinstance(made, CompiledProgram):
        made, is_new = compile_program(run_block, (engine, 1, record), arguments, "kernels")
    assert isinstance(made, CompiledProgram)
    return made, is_new


def _is_wrong(
    engine: AskingEngine, shared: TargetAndTuning, own: TargetAndTuning, block: Block
) -> bool:
    """Return whether other programs disagree with the native form; see `self_check`."""
    best = engine.best(_first(block.state))
    if not np.isfinite(best.value):
        return False
    recorded = Recorded(best.position[None], best.value[None], best.gradient[None])
    return bool(find_disagreement(Family(shared.target, own.target, 1), recorded))


def _first(packed: Packed) -> Any:
    """Return the state of the only chain."""
    return jax.tree.map(lambda a: np.asarray(a)[0], packed.unpack())
