"""Modes that scouts of warm-up were in, and that no chain visited."""

from collections.abc import Iterator

import numpy as np

from ...engines.base import Draws
from ...run.coordinates import move_to_density
from ...run.run import Run
from ..finding import Finding
from .modes import MAX_TRIED, round_share, separate_chains, weigh_modes

# Share of the mass from which a mode is reported; less moves a mean by a tenth of its distance to
# the mode, at most.
SMALLEST_SHARE = 0.01


def find_modes_of_scouts(run: Run, draws: Draws) -> Iterator[Finding]:
    """Report modes in which scouts ended, and no chain.

    Scouts are the chains from other starts that explore before warm-up ends early. What they saw
    costs nothing, so it is compared with the draws. Only coordinates in which some chain is far
    from the others, in standard deviations of all draws, are looked at.

    Args:
        run: A run of one model.
        draws: Its flat vectors, shape (chains, draws, size), with the statistic `lp`.
    """
    scouted = run.warmup.scouted
    if scouted is None or "lp" not in scouted.stats:
        return
    joined = _join(draws, move_to_density(run.family, run.warmup.centering, scouted))
    numbers, coordinates = _select_numbers(joined.positions)
    place, groups = separate_chains(numbers)
    # A group of scouts alone.
    unseen = [i for i, group in enumerate(groups) if group.min() >= run.chains]
    if not unseen:
        return
    weights = weigh_modes(groups, joined.positions, joined.stats["lp"])
    best = max(unseen, key=lambda i: weights[i])
    if weights[best] < SMALLEST_SHARE:
        return
    middle, name = np.median(numbers[place][groups[best]]), run.density.labels()[coordinates[place]]
    yield Finding(
        "unvisited_mode",
        f"{len(groups[best])} of {len(scouted.positions)} chains that scouted during warm-up ended "
        f"in a mode that no chain of the run visited, at {name} = {middle:.3g} (in the "
        f"unconstrained space) with {round_share(float(weights[best]))} of the mass, by rough "
        "normal approximations.",
        "Sample with infer.Tempered(), or run more chains from the prior "
        '(starts="prior"), and weight the modes by hand.',
        (name,),
    )


def _join(draws: Draws, scouted: Draws) -> Draws:
    """Join as many of the newest draws of the chains with those of the scouts."""
    count, size = scouted.positions.shape[1], draws.positions.shape[2]
    own = draws.positions[:, -count:], scouted.positions[:, -draws.positions.shape[1] :, :size]
    levels = draws.stats["lp"][:, -count:], scouted.stats["lp"][:, -draws.positions.shape[1] :]
    positions, lp = (np.concatenate(each).astype(np.float64) for each in (own, levels))
    return Draws(positions, positions[..., :0], {"lp": lp})


def _select_numbers(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers whose means differ most between chains, and which of the vector they are.

    Args:
        positions: Shape (chains, draws, size).

    Returns:
        The numbers, shape (numbers, chains, draws), and their coordinates, shape (numbers,).
    """
    spread = np.ptp(positions.mean(1), axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        far = np.nan_to_num(spread / positions.std((0, 1)), posinf=0.0)
    chosen = np.argsort(-far, kind="stable")[:MAX_TRIED]
    return np.moveaxis(positions[..., chosen], 2, 0), chosen
