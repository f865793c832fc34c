"""The evidence by stepping stones, from the levels of parallel tempering."""

from typing import Any

import numpy as np

from ...density.base import LogDensity
from ...errors import RunError
from ...numerics.tempering import step_stones
from ...run.run import Run
from ..data.versions import read_group
from ..judge.round_trips import GROUP
from .estimate import Estimate
from .positions import read_positions

NAME = "stepping stones"
# With fewer turns of swaps, the batches of the standard error are too short.
FEWEST_TURNS = 50


def has_levels(result: Any) -> bool:
    """Return whether a result is one of parallel tempering."""
    is_data = not isinstance(result, Run | list | tuple)
    return is_data and "log_ratio" in read_group(result, GROUP)


def estimate_by_stones(density: LogDensity, result: Any, seed: int) -> Estimate:
    """Estimate the log evidence from the log ratios of all levels.

    Raises:
        RunError: The result has no levels, too few turns of swaps, or is of another model.
    """
    turns = read_group(result, GROUP).sizes["swap"] if has_levels(result) else 0
    if turns < FEWEST_TURNS:
        raise RunError(
            "result",
            f"it has {turns} turns of swaps between levels of parallel tempering",
            "Sample with infer.Tempered() and more draws."
            if turns
            else 'Sample with infer.Tempered(), or choose method="bridge".',
        )
    read_positions(density, result)
    group = read_group(result, GROUP)
    ratios = np.asarray(group["log_ratio"].transpose("swap", "level", "chain"))
    return Estimate(*step_stones(np.asarray(group["power"]), ratios), NAME)
