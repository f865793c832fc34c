"""Non-reversible parallel tempering: swaps of neighboring levels, the schedule and round trips.

Levels 0, 1, ... N have powers 0 = p_0 < ... < p_N = 1, and level i samples the reference to the
power 1 - p_i times the posterior to the power p_i. V is the log ratio of posterior and reference.

Source: Syed, Bouchard-Cote, Deligiannidis & Doucet (2022), Non-reversible parallel tempering: a
    scalable highly parallel MCMC scheme, JRSS B 84.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.interpolate import PchipInterpolator

from .bridge import find_log_ratio

# With stretches of 80 turns instead of 200, the standard error was too small by a third.
BATCHES = 8


def swap_probabilities(powers: np.ndarray, log_ratios: np.ndarray) -> np.ndarray:
    """Return the probability that neighbors swap.

    Args:
        powers: Shape (levels,).
        log_ratios: V at the points of all levels, shape (*rounds, levels, replicas); not NaN.

    Returns:
        Shape (*rounds, levels - 1, replicas).

    Source: Syed et al., equation 5.
    """
    lower, upper = log_ratios[..., :-1, :], log_ratios[..., 1:, :]
    with np.errstate(invalid="ignore"):
        exponent = np.diff(powers)[:, None] * (lower - upper)
    # Two points of equal ratio, even if it is infinite, may swap.
    return np.exp(np.minimum(np.where(np.isnan(exponent), 0.0, exponent), 0.0))


def mean_rejections(powers: np.ndarray, log_ratios: np.ndarray) -> np.ndarray:
    """Return the mean probability that a swap is rejected, for each pair of neighbors.

    Args:
        powers: Shape (levels,).
        log_ratios: Shape (rounds, levels, replicas).
    """
    return 1 - swap_probabilities(powers, log_ratios).mean((0, 2))


def choose_sources(probabilities: np.ndarray, turn: int, uniforms: np.ndarray) -> np.ndarray:
    """Choose whose point each level takes: even pairs swap in even turns, odd ones in odd turns.

    Args:
        probabilities: As `swap_probabilities` returns them for one turn.
        turn: Number of the turn.
        uniforms: Numbers from 0 to 1, of the same shape.

    Returns:
        For each level and replica the level whose point it takes, shape (levels, replicas).
    """
    pairs, replicas = probabilities.shape
    sources = np.repeat(np.arange(pairs + 1)[:, None], replicas, 1)
    swaps = (uniforms < probabilities) & (np.arange(pairs) % 2 == turn % 2)[:, None]
    sources[:-1] += swaps
    sources[1:] -= swaps
    return sources


def choose_powers(powers: np.ndarray, rejections: np.ndarray, levels: int) -> np.ndarray:
    """Choose powers whose neighbors swap equally often.

    Args:
        powers: The present ones.
        rejections: Mean probability that a swap of neighbors is rejected, one fewer.
        levels: Number of powers to choose.

    Returns:
        Shape (levels,), from 0 to 1.

    Source: Syed et al., section 5.1, Algorithm 3; the sum of rejections as a function of the power
        hardly depends on the schedule, and is interpolated by a monotone cubic spline.
    """
    # Without rejections, powers are equally spaced.
    barrier = np.concatenate([[0.0], np.cumsum(np.maximum(rejections, 1e-6))])
    places = np.linspace(0, barrier[-1], levels)
    chosen = PchipInterpolator(barrier, powers)(places)
    chosen[0], chosen[-1] = 0.0, 1.0
    return chosen


def choose_level_count(barrier: float, fewest: int, most: int) -> int:
    """Choose the number of levels above the reference: twice the barrier.

    Source: Syed et al., section 5.3.

    Args:
        barrier: Sum of the rejections.
        fewest: The smallest number.
        most: The largest number.
    """
    return int(np.clip(np.ceil(2 * barrier), fewest, most))


def step_stones(
    powers: np.ndarray, log_ratios: np.ndarray, batches: int = BATCHES
) -> tuple[float, float]:
    """Estimate the log of the integral of the posterior over that of the reference.

    It is the sum of the steps from each level to the next. A step uses the draws of both levels, by
    the optimal bridge, and not those of the lower one alone.

    Args:
        powers: Shape (levels,).
        log_ratios: Shape (rounds, levels, replicas).
        batches: Number of stretches of one replica, of all levels together, one of which is left
            out at a time for the standard error. They are few and long, since it takes points many
            turns to travel from level to level.

    Returns:
        The log in nats and its standard error by the jackknife.

    Source: Xie, Lewis, Fan, Kuo & Chen (2011), Improving marginal likelihood estimation for
        Bayesian phylogenetic model selection; for the bridge, Bennett (1976).
    """
    parts = np.array_split(log_ratios, max(batches // log_ratios.shape[2], 1))
    rows = [part[:, :, own] for part in parts for own in range(log_ratios.shape[2])]
    total = _sum_steps(powers, np.concatenate(rows))
    left = [_sum_steps(powers, np.concatenate(rows[:i] + rows[i + 1 :])) for i in range(len(rows))]
    spread = np.var(left) * (len(rows) - 1)
    return total, float(np.sqrt(spread))


def _sum_steps(powers: np.ndarray, log_ratios: np.ndarray) -> float:
    """Sum the steps between neighbors; the log ratios have shape (draws, levels)."""
    steps = np.diff(powers)
    # A draw of the reference outside the support of the posterior counts as infinitely unlikely.
    lower, upper = log_ratios[:, :-1] * steps, log_ratios[:, 1:] * steps
    return sum(find_log_ratio(*own, 0.0) for own in zip(upper.T, lower.T, strict=True))


@dataclass
class Trips:
    """Follows points from the reference to the posterior through all swaps.

    Attributes:
        replicas: Number of replicas of all levels.
        levels: Number of levels.
        made: Number of points that came from the reference to the posterior, for each replica.
    """

    replicas: int
    levels: int
    made: np.ndarray = field(init=False)
    _from_reference: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.made = np.zeros(self.replicas, np.int64)
        self._from_reference = np.zeros((self.levels, self.replicas), bool)
        self._from_reference[0] = True

    def follow(self, sources: np.ndarray) -> None:
        """Follow the swaps of one turn, as `choose_sources` returns them."""
        carried = np.take_along_axis(self._from_reference, sources, 0)
        self.made += carried[-1]
        carried[0], carried[-1] = True, False
        self._from_reference = carried
