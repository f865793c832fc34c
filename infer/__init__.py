"""Probabilistic inference on JAX: models, engines, runs and results.

Read the house from the ground up: models, density, engines, run, output. Each public name is listed
in `__init__.pyi` and imported at its first use, so that a program loads the parts that it calls.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
