"""Find what the flat vectors of a run show, besides its named values."""

from collections.abc import Iterator

from ...engines.base import Draws
from ...run.run import Run
from ..finding import Finding
from .mirrors import find_unvisited_mirrors
from .modes import find_modes
from .necks import find_necks
from .scouted import find_modes_of_scouts
from .suspects import Numbers
from .tails import find_heavy_tails


def find_in_flat_vectors(run: Run, draws: Draws, numbers: Numbers) -> Iterator[Finding]:
    """Look for heavy tails, chains in different modes, those of scouts, mirror images and necks.

    Args:
        run: The run.
        draws: Its draws, or some of them.
        numbers: All scalar numbers of the posterior.
    """
    density = run.density
    draws = draws._replace(positions=draws.positions[..., : density.size])
    yield from find_heavy_tails(numbers, density, draws)
    if "lp" in draws.stats:
        yield from find_modes(numbers, draws)
        yield from find_modes_of_scouts(run, draws)
    yield from find_unvisited_mirrors(run, draws.positions)
    yield from find_necks(run.engine, density, draws)
