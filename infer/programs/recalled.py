"""Find what an earlier process compiled from the same traced program, without lowering it again.

The name of a file says what was traced, in which form it is compiled, the settings of JAX, and the
source of the files that rewrite programs, besides what `cached` adds.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import jax

from .cached import is_on, load_described
from .described import describe_program
from .kernels import choose_options
from .marked import FAST_COMPILE_OPTIONS, NATIVE_OPTIONS

# Folders whose code changes programs between the trace and XLA.
FOLDERS = ("programs", "numerics")


def describe_trace(program: jax.stages.Traced, form: str) -> str | None:
    """Describe a traced program and how it is lowered; None if nothing is kept, or it cannot be.

    Args:
        program: The program.
        form: How it is compiled.
    """
    described = describe_program(program.jaxpr) if is_on() else None
    if described is None:
        return None
    wide = jax.dtypes.canonicalize_dtype(float)
    return "\0".join((described, form, f"{wide}", _describe_settings(), _hash_sources()))


def recall(
    described: str | None, program: jax.stages.Traced, form: str, natively: bool, transforms: bool
) -> tuple[Callable[..., Any], bool] | None:
    """Return the executable that an earlier process made, and whether it is native; or None.

    Args:
        described: What `describe_trace` returned.
        program: The program.
        form: How it is compiled.
        natively: Whether its native form comes first.
        transforms: Whether it computes Fourier transforms.
    """
    if natively:
        trees = program.in_tree, jax.tree.structure((program.out_info, 0))
        options = FAST_COMPILE_OPTIONS if form == "fast_compile" else NATIVE_OPTIONS
        if call := load_described(described, options, trees):
            # The other result only keeps arguments alive.
            return (lambda *arguments: call(*arguments)[0]), True
    if form == "native":
        return None
    trees = program.in_tree, jax.tree.structure(program.out_info)
    call = load_described(described, choose_options(transforms), trees)
    return None if call is None else (call, False)


def _describe_settings() -> str:
    return repr(sorted(jax.config.values.items()))


@cache
def _hash_sources() -> str:
    here = Path(__file__).parents[1]
    files = [path for name in FOLDERS for path in sorted((here / name).rglob("*.py"))]
    return sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()
