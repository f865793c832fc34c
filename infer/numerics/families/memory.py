"""Refuse a family whose fit does not fit in memory."""

import os
from typing import Any

import numpy as np

from ...errors import EngineError
from .base import Family

# Copies of the parameters at a time: the distribution, its sums and what the optimizer keeps, in
# two versions each, and the epochs that are averaged.
COPIES = 64


def refuse_large(family: Family, size: int, dtype: Any, engine: str = "ADVI") -> None:
    """Raise if a fit of vectors of this length would take more memory than the machine has.

    Raises:
        EngineError: It would; the message says how much, and which family takes less.
    """
    needed = COPIES * family.count_numbers(size) * np.dtype(dtype).itemsize
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > available:
        raise EngineError(
            engine,
            f"the family {family.name} of {size} coordinates needs about {needed / 1e9:.3g} GB, "
            f"and the machine has {available / 1e9:.3g} GB",
            "Choose infer.ADVI with infer.LowRank(), which follows the strongest correlations, or "
            'with "mean_field".',
        )
