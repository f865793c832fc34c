"""Find what an earlier process compiled from the same traced program, without lowering it again.

The name of a file says what was traced, in which form it is compiled, the settings of JAX, and the
source of the files that rewrite programs, besides what `cached` adds.
"""

from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import jax

from .cached import find_described, is_on, load
from .described import describe_program
from .kernels import choose_options
from .marked import FAST_COMPILE_OPTIONS, NATIVE_OPTIONS

# What changes programs between the trace and XLA.
SOURCES = ("programs/**/*.py", "numerics/**/*.py", "equations.py")


class Recalled(NamedTuple):
    """An executable of an earlier process, and whether it is native."""

    call: Callable[..., Any]
    is_native: bool


def describe_trace(program: jax.stages.Traced, form: str) -> str | None:
    """Describe a traced program and how it is lowered; None if nothing is kept, or it cannot be.

    Args:
        program: The program.
        form: How it is compiled.
    """
    sources = _hash_sources() if is_on() else None
    described = describe_program(program.jaxpr) if sources else None
    if not described or not sources:
        return None
    wide = jax.dtypes.canonicalize_dtype(float)
    return "\0".join((described, form, f"{wide}", _describe_settings(), sources))


def recall(
    described: str | None, program: jax.stages.Traced, form: str, natively: bool, transforms: bool
) -> Callable[[], Recalled | None] | None:
    """Return what loads the executable that an earlier process made, in any thread; or None.

    Args:
        described: What `describe_trace` returned.
        program: The program.
        form: How it is compiled.
        natively: Whether its native form comes first.
        transforms: Whether it computes Fourier transforms.

    Returns:
        None if there is no file; otherwise a function, which returns None if the file is damaged.
    """
    if natively:
        # The other result only keeps arguments alive.
        other = 0 if program.in_tree.num_leaves else ()
        trees = program.in_tree, jax.tree.structure((program.out_info, other))
        options = FAST_COMPILE_OPTIONS if form == "fast_compile" else NATIVE_OPTIONS
        if path := find_described(described, options):
            return partial(_load_native, path, trees)
    if form == "native":
        return None
    trees = program.in_tree, jax.tree.structure(program.out_info)
    path = find_described(described, choose_options(transforms))
    return None if path is None else partial(_load_kernels, path, trees)


def _load_native(path: Path, trees: tuple[Any, Any]) -> Recalled | None:
    call = load(path, *trees)
    return call and Recalled(lambda *arguments: call(*arguments)[0], True)


def _load_kernels(path: Path, trees: tuple[Any, Any]) -> Recalled | None:
    call = load(path, *trees)
    return call and Recalled(call, False)


def _describe_settings() -> str:
    return repr(sorted(jax.config.values.items()))


@cache
def _hash_sources() -> str | None:
    """Return a hash of the files; None if some are missing, as in a program packed as one."""
    here = Path(__file__).parents[1]
    found = [sorted(here.glob(pattern)) for pattern in SOURCES]
    if not all(found):
        return None
    return sha256(b"\0".join(path.read_bytes() for path in sum(found, []))).hexdigest()
