"""Find what the flat vectors of a run show, besides its named values."""

from collections.abc import Iterator

import numpy as np

from ...density.base import LogDensity
from ...density.funnels import find_funnel_sites
from ...engines.base import Draws
from ...run.run import Run
from ..data.recorded import has_left_memory
from ..finding import Finding
from .mirrors import find_unvisited_mirrors
from .modes import find_modes
from .necks import find_necks
from .scouted import find_modes_of_scouts
from .suspects import Numbers
from .tails import find_heavy_tails, has_wide_tails


def find_in_flat_vectors(run: Run, draws: Draws, numbers: Numbers) -> Iterator[Finding]:
    """Look for heavy tails, chains in different modes, those of scouts, mirror images and necks.

    Args:
        run: The run.
        draws: Its draws, or some of them.
        numbers: All scalar numbers of the posterior.
    """
    density = run.density
    draws = draws._replace(positions=draws.positions[..., : density.size])
    if has_left_memory(run) and _needs_gradients(density, draws.positions):
        draws = draws._replace(gradients=compute_gradients(run, draws.positions))
    yield from find_heavy_tails(numbers, density, draws)
    if "lp" in draws.stats:
        yield from find_modes(numbers, draws)
        yield from find_modes_of_scouts(run, draws)
    yield from find_unvisited_mirrors(run, draws.positions)
    yield from find_necks(run.engine, density, draws)


def _needs_gradients(density: LogDensity, positions: np.ndarray) -> bool:
    """Return whether anything is judged by gradients, which take time to compute again."""
    return bool(find_funnel_sites(density)) or has_wide_tails(positions)


def compute_gradients(run: Run, positions: np.ndarray) -> np.ndarray:
    """Compute the gradients at positions (chains, draws, size); of no entry if there are none."""
    if run.evaluate is None or run.density.minibatches or not run.density.gradient:
        return positions[..., :0]
    points = run.evaluate(np.swapaxes(positions, 0, 1))
    return np.swapaxes(points.gradients + points.unvalued_gradients, 0, 1)
