"""Drop from a lowered program where in the source its operations come from.

XLA copies these places and names to each instruction, and an executable keeps them all. They take
a fifth of the time in which one is loaded, and of its bytes; nothing that is computed depends on
them.
"""

import jax
from jaxlib.mlir.passmanager import PassManager


def drop_locations(lowered: jax.stages.Lowered) -> jax.stages.Lowered:
    """Return a lowered program without them, which is changed in place."""
    module = lowered.compiler_ir("stablehlo")
    if module is not None:
        with module.context:
            PassManager.parse("builtin.module(strip-debuginfo)").run(module.operation)
    return lowered
