"""Probabilistic inference on JAX: models, engines, runs and results.

Read the house from the ground up: models, density, engines, run, output. Each public name is listed
in `__init__.pyi` and imported at its first use, so that a program loads the parts that it calls.
"""

from threading import RLock
from typing import Any

import lazy_loader

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# Threads that import modules of a circle at once may see one before its names.
_one_at_a_time = RLock()


def __getattr__(name: str) -> Any:
    # An unknown name raises, and the version needs no JAX.
    if name not in __all__ or name == "__version__":
        return _import(name)
    # JAX and `bijectors`, which any other name needs.
    with _one_at_a_time:
        from bijectors.garbage import pause_collection
        from bijectors.postponed import import_equinox

    with _one_at_a_time, pause_collection():
        import_equinox()
        return _import(name)
