"""Import the libraries that run Stan programs, in this file alone and only when one is read."""

import importlib
from functools import cache
from typing import Any

from ....errors import ModelError

EXTRA = "pushforward[stan]"


@cache
def load(name: str) -> Any:
    """Import `stanli`, which interprets programs, or `bridgestan`, the interface to both.

    Raises:
        ModelError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ModelError(
            "Stan",
            f"the library {name} cannot be imported: {error}",
            f"Install it: pip install '{EXTRA}'.",
        ) from error
