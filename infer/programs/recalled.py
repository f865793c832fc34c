"""Find what an earlier process compiled from the same traced program, without lowering it again.

The name of a file says what was traced, in which form it is compiled, the settings of JAX, and the
source of the files that rewrite programs, besides what `cached` adds.
"""

from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import jax

from .cached import find_described, is_on, load
from .described import describe_program
from .kernels import choose_options
from .rewrite import Analysis

# What changes programs between the trace and XLA.
SOURCES = ("programs/**/*.py", "numerics/**/*.py", "equations.py")


class Kept(NamedTuple):
    """An executable that is kept on disk.

    Attributes:
        name: The name of its file.
        is_native: Whether it is native.
        results: A pytree of the structure of its results.
        found: What determined its form.
    """

    name: str
    is_native: bool
    results: Any
    found: Analysis


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
    return "\0".join((described, form, f"{wide}", describe_settings(), sources))


def recall(
    described: str | None, program: jax.stages.Traced, natively: dict[str, Any] | None,
    found: Analysis,
) -> Kept | None:  # fmt: skip
    """Return what an earlier process made of a traced program; None if there is nothing.

    Args:
        described: What `describe_trace` returned.
        program: The program.
        natively: XLA's options for its native form, if that comes first.
        found: What determines its form.
    """
    name = find_described(described, natively) if natively else None
    is_native = name is not None
    if name is None:
        name = find_described(described, choose_options(found.has_transforms))
    results = jax.tree.map(lambda _: 0, program.out_info)
    return Kept(name, is_native, results, found) if name else None


def load_kept(kept: Kept, arguments: tuple[Any, ...]) -> Callable[..., Any] | None:
    """Load an executable, in any thread; None if its file is gone or damaged."""
    # The other result only keeps arguments alive.
    other = 0 if jax.tree.leaves(arguments) else ()
    results = (kept.results, other) if kept.is_native else kept.results
    call = load(kept.name, jax.tree.structure((arguments, {})), jax.tree.structure(results))
    return (lambda *own: call(*own)[0]) if call and kept.is_native else call


def describe_settings() -> str:
    """Describe all settings of JAX."""
    return repr(sorted(jax.config.values.items()))


@cache
def _hash_sources() -> str | None:
    """Return a hash of the files; None if some are missing, as in a program packed as one."""
    here = Path(__file__).parents[1]
    found = [sorted(here.glob(pattern)) for pattern in SOURCES]
    if not all(found):
        return None
    return sha256(b"\0".join(path.read_bytes() for path in sum(found, []))).hexdigest()
