"""Load the largest executable of a call before it is known which one the call needs.

The survey of the model decides that, and loading takes longer than all that comes before the loop
runs. So the file that an earlier process needed for such a model is loaded meanwhile, in another
thread. If the call then needs another one, it is loaded in the usual way.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import jax

from .cached import find_folder, find_out, is_on, keep, load_now
from .used import Used, loading, used


def loading_ahead(call: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a call of a model and an engine, which is to begin loading at once."""

    @wraps(call)
    def begin_and_call(model: Any, engine: Any = None, *others: Any, **named: Any) -> Any:
        described = _describe(call, model, engine)
        expected = find_out(described)
        if expected and expected not in used:
            _begin(expected)
        count = len(used)
        try:
            return call(model, engine, *others, **named)
        finally:
            loading.pop(expected, None)
            largest = max(used[count:], key=_size, default=None)
            if largest and largest != expected:
                keep(described, largest)

    return begin_and_call


def _describe(call: Callable[..., Any], model: Any, engine: Any) -> str | None:
    """Say what the executable depends on, as far as that is known at once."""
    first: Any = model[0] if isinstance(model, list | tuple) and model else model
    surroundings = getattr(first, "surroundings", None)
    if surroundings is None or not is_on():
        return None
    wide = jax.dtypes.canonicalize_dtype(float)
    parts = call.__qualname__, surroundings.digest, first.shapes, type(engine).__qualname__, wide
    return repr(("ahead", *parts))


def _begin(expected: Used) -> None:
    # The model is not known yet, so arguments and results are described as plain lists of arrays.
    trees = tuple(range(expected.arguments)), {}
    structures = jax.tree.structure(trees), jax.tree.structure(list(range(expected.results)))
    other = ThreadPoolExecutor(1)
    used.append(expected)
    loading[expected] = other.submit(load_now, expected.name, *structures)
    other.shutdown(wait=False)


def _size(file: Used) -> int:
    folder = find_folder()
    try:
        return os.path.getsize(folder / file.name) if folder else 0
    except OSError:
        return 0
