"""Probabilistic inference on JAX: models, engines, runs and results.

Read the house from the ground up: models, density, engines, run, output. Each public name is listed
in `__init__.pyi` and imported at its first use, so that a program loads the parts that it calls.
"""

from typing import Any

import lazy_loader

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        return _import(name)  # Raises.
    # JAX and `bijectors`, which any name needs.
    from bijectors.garbage import pause_collection

    with pause_collection():
        return _import(name)
