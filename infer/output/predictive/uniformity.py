"""The probability that uniform ranks are as uneven as given ones.

The number of ranks below r, among n, is binomial for each r. The statistic is the smallest
two-sided probability of these numbers over all r, so it is sensitive to a shift, a spread and a
cluster alike. Its distribution is computed, not simulated: the counts of the ranks are independent
Poisson numbers conditioned on their sum, so the probability that the cumulative counts stay within
bounds is a chain of convolutions.

Source: Säilynoja, Bürkner & Vehtari (2022), Graphical test for discrete uniformity and its
    applications, arXiv 2103.10522, section 2 and appendix A.
"""

from typing import NamedTuple

import numpy as np

# Bisection steps in the search for the level of a band, from 1e-12 on.
_HALVINGS = 50


class Band(NamedTuple):
    """Bounds of the counts of ranks below 1, 2, ..., both inclusive."""

    low: np.ndarray
    high: np.ndarray


def compute_p_value(ranks: np.ndarray, largest: int) -> float:
    """Compute the probability that uniform ranks are at least as uneven.

    Args:
        ranks: Integers from 0 to `largest`, shape (n,).
        largest: The largest possible rank.

    Returns:
        The probability; small if the ranks are not uniform.
    """
    tails = _Tails(len(ranks), largest)
    level = min(tails.level(count_below(ranks, largest)), 1.0)
    # Slightly more, so that counts exactly as unlikely as these are outside.
    return float(1 - _probability_within(tails.band(level * (1 + 1e-9)), len(ranks)))


def find_band(count: int, largest: int, false_alarm: float) -> Band:
    """Find the narrowest band that uniform ranks leave with at most a given probability.

    Args:
        count: Number of ranks.
        largest: The largest possible rank.
        false_alarm: Probability that the cumulative counts leave the band anywhere.
    """
    tails = _Tails(count, largest)
    low, high = np.log(1e-12), 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = 1 - _probability_within(tails.band(np.exp(middle)), count) <= false_alarm
        low, high = (middle, high) if fits else (low, middle)
    return tails.band(np.exp(low))


def count_below(ranks: np.ndarray, largest: int) -> np.ndarray:
    """Count the ranks below 1, 2, ..., `largest`."""
    return np.cumsum(np.bincount(ranks, minlength=largest + 1))[:-1]


class _Tails:
    """Tail probabilities of the binomial numbers of ranks below each r."""

    def __init__(self, count: int, largest: int) -> None:
        share = np.arange(1, largest + 1)[:, None] / (largest + 1)
        number = np.arange(count + 1)
        choices = _log_factorial(count)
        choices = choices[count] - choices[number] - choices[count - number]
        mass = np.exp(choices + number * np.log(share) + (count - number) * np.log1p(-share))
        self._low = np.minimum(np.cumsum(mass, 1), 1.0)
        self._high = np.minimum(np.cumsum(mass[:, ::-1], 1)[:, ::-1], 1.0)

    def level(self, counts: np.ndarray) -> float:
        """Return twice the smallest tail probability of these counts."""
        rows = np.arange(len(counts))
        return 2 * float(min(self._low[rows, counts].min(), self._high[rows, counts].min()))

    def band(self, level: float) -> Band:
        """Return the counts for which both tail probabilities are above half the level."""
        inside = (2 * self._low > level) & (2 * self._high > level)
        low = np.where(inside.any(1), inside.argmax(1), 1)
        high = np.where(inside.any(1), inside.shape[1] - 1 - inside[:, ::-1].argmax(1), 0)
        return Band(low, high)


def _probability_within(within: Band, count: int) -> float:
    """Compute the probability that the cumulative counts of uniform ranks stay within a band."""
    number = np.arange(count + 1)
    log_factorial = _log_factorial(count)
    mean = count / (len(within.low) + 1)
    step = np.exp(number * np.log(mean) - mean - log_factorial)
    reached = np.zeros(count + 1)
    reached[0] = 1.0
    for low, high in zip(within.low, within.high, strict=True):
        reached = np.convolve(reached, step)[: count + 1]
        reached[(number < low) | (number > high)] = 0.0
    last = reached @ step[::-1]
    return float(last / np.exp(count * np.log(count) - count - log_factorial[count]))


def _log_factorial(count: int) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
