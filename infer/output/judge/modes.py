"""Find chains that lie in different modes, and estimate how much mass each mode has."""

from collections.abc import Iterator

import numpy as np

from ...engines.base import Draws
from ...numerics.mixing import compare_halves
from ..finding import Finding
from .suspects import QUANTILE_DRAWS, Numbers
from .transitions import name_chains

# Chains are in different modes if the central 90 % of their draws do not overlap.
TAIL = 0.05
# Split R-hat below which no chains are that far apart.
SMALLEST_RHAT = 1.5
# Quantities tried, those with the largest R-hat first; and groups of chains that are described.
MAX_TRIED, MAX_DESCRIBED = 8, 4


def find_modes(numbers: Numbers, draws: Draws) -> Iterator[Finding]:
    """Report chains in different modes, with the rough weights of the modes.

    Args:
        numbers: Quantities of the posterior.
        draws: The flat vectors, shape (chains, draws, size), with the statistic `lp`.
    """
    place, groups = separate_chains(numbers.draws)
    if len(groups) < 2:
        return
    name, own = numbers.names[place], numbers.draws[place]
    weights = weigh_modes(groups, draws.positions, draws.stats["lp"].astype(np.float64))
    order = np.argsort(-weights)
    described = [
        f"{name_chains(groups[i])} at {name} = {np.median(own[groups[i]]):.3g} with "
        f"{round_share(float(weights[i]))} of the mass"
        for i in order[:MAX_DESCRIBED]
    ]
    rest = f", and {len(groups) - MAX_DESCRIBED} more" if len(groups) > MAX_DESCRIBED else ""
    yield Finding(
        "different_modes",
        f"the chains lie in {len(groups)} different modes: {'; '.join(described)}{rest}. The "
        "masses are rough, from a normal approximation of each mode. In the draws each mode counts "
        "by its number of chains instead.",
        "Sample with infer.Tempered(), whose chains cross from mode to mode; or run more chains "
        "(chains=), and weight the draws by hand. If the modes are copies of each other, order a "
        "site (bijectors.Ordered); if one is implausible, a prior can exclude it.",
        (name,),
    )


def separate_chains(draws: np.ndarray) -> tuple[int, list[np.ndarray]]:
    """Return a quantity that separates the chains, and their groups; no group if none does."""
    if not len(draws) or draws.shape[1] < 2:
        return 0, []
    # A part of the draws tells chains that are so far apart.
    few = draws[..., :: -(-draws.shape[2] // QUANTILE_DRAWS)]
    rhat = compare_halves(few)
    tried = [int(i) for i in np.argsort(-rhat)[:MAX_TRIED] if rhat[i] > SMALLEST_RHAT]
    best: tuple[int, list[np.ndarray]] = 0, []
    for i in tried:
        groups = _split_chains(draws[i])
        if len(groups) > len(best[1]):
            best = i, groups
    return best


def _split_chains(draws: np.ndarray) -> list[np.ndarray]:
    """Split chains into groups whose central draws overlap; draws of shape (chains, draws)."""
    low, high = np.quantile(draws, [TAIL, 1 - TAIL], axis=1)
    order = np.argsort(low)
    reached = np.maximum.accumulate(high[order])
    cuts = np.flatnonzero(low[order][1:] > reached[:-1]) + 1
    return [np.sort(group) for group in np.split(order, cuts)] if len(cuts) else []


def weigh_modes(groups: list[np.ndarray], positions: np.ndarray, lp: np.ndarray) -> np.ndarray:
    """Estimate the share of the mass in each group's mode.

    A region of mass Z has log Z = E[log density] + H, with the entropy H of the draws in it, for
    which that of a normal of the same covariance is taken. The shares are NaN if no group has one,
    because each of its chains stays at one point.

    Source: as for `infer.numerics.stray.bound_masses`.
    """
    masses = np.array([lp[group].mean() + measure_entropy(positions[group]) for group in groups])
    if not np.isfinite(masses.max()):
        return np.full(len(masses), np.nan)
    weights = np.exp(masses - masses.max())
    return weights / weights.sum()


def measure_entropy(positions: np.ndarray) -> float:
    """Compute the entropy of a normal with the covariance of the draws, up to a constant."""
    rows = positions.reshape(-1, positions.shape[-1]).astype(np.float64)
    size = rows.shape[1]
    with np.errstate(divide="ignore"):
        if 2 * size**2 > len(rows):
            # The log-determinant of a covariance from so few draws is too small.
            return float(0.5 * np.log(rows.var(0)).sum())
        return float(0.5 * np.linalg.slogdet(np.atleast_2d(np.cov(rows.T)))[1])


def round_share(share: float) -> str:
    """Write a share of the mass."""
    if np.isnan(share):
        return "an unknown share"
    return f"about {share:.0%}" if share >= 0.01 else "less than 1%"
