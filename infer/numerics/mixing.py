"""R-hat and effective sample sizes of many quantities at once, equal to ArviZ's to rounding.

ArviZ takes 2 to 8 ms for one quantity, most of it in Python. Here all quantities share each step,
which takes a tenth of that; ArviZ is the oracle of the tests.

Source: Vehtari, Gelman, Simpson, Carpenter & Bürkner (2021), Rank-normalization, folding, and
    localization: an improved R-hat for assessing convergence of MCMC, Bayesian Analysis 16.
"""

from typing import NamedTuple

import numpy as np

from .quantiles import pick_quantiles
from .rank_quantiles import find_rank_quantiles

# Quantiles of the tail ESS.
TAILS = (0.05, 0.95)
# Entries that are worked on at a time, so that memory is flat and the cache is used.
MAX_ENTRIES = 2**17


class Mixing(NamedTuple):
    """Diagnostics of quantities, each of shape (quantities,).

    Attributes:
        rhat: Rank-normalized split R-hat; NaN for a single chain.
        bulk: Bulk effective sample size of all chains together.
        tail: The smaller of those of the 5 % and the 95 % quantile.
    """

    rhat: np.ndarray
    bulk: np.ndarray
    tail: np.ndarray


def measure_mixing(draws: np.ndarray) -> Mixing:
    """Measure how well the chains mix.

    Args:
        draws: Finite draws of shape (quantities, chains, draws); at least four a chain.
    """
    if not draws.size:
        return Mixing(*np.zeros((3, 0)))
    width = max(MAX_ENTRIES // draws[0].size, 1)
    parts = [_measure(draws[i : i + width]) for i in range(0, len(draws), width)]
    return Mixing(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _measure(draws: np.ndarray) -> Mixing:
    draws = np.asarray(draws, np.float64)
    normal = _normalize(_split(draws))
    return Mixing(_measure_rhat(draws, normal), _estimate_ess(normal), _measure_tail_ess(draws))


def _measure_tail_ess(draws: np.ndarray) -> np.ndarray:
    """Estimate the effective sample sizes of the tails of draws (quantities, chains, draws)."""
    cuts = pick_quantiles(np.sort(draws.reshape(len(draws), -1), axis=1), TAILS)
    return np.min([_estimate_ess(_split(draws <= cut[:, None, None])) for cut in cuts], axis=0)


def estimate_ess(draws: np.ndarray) -> np.ndarray:
    """Estimate the effective sample sizes of means of draws (quantities, chains, draws)."""
    return _estimate_ess(_split(draws))


def compare_halves(draws: np.ndarray) -> np.ndarray:
    """Compute split R-hat without ranks, of draws (quantities, chains, draws)."""
    return _compare_chains(_split(draws))


def _measure_rhat(draws: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the larger R-hat of location and of scale."""
    if draws.shape[1] < 2:
        return np.full(len(draws), np.nan)
    parts = _split(draws)
    distance = np.abs(parts - np.median(parts, axis=(1, 2), keepdims=True))
    return np.maximum(_compare_chains(normal), _compare_chains(_normalize(distance)))


def _split(draws: np.ndarray) -> np.ndarray:
    """Split each chain in two; with an odd number of draws the middle one is left out."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[..., :half], draws[..., -half:]], axis=1)


def _normalize(draws: np.ndarray) -> np.ndarray:
    """Replace draws by the normal quantiles of their ranks, their mean for ties (equation 14)."""
    rows = draws.reshape(len(draws), -1)
    order = np.argsort(rows, axis=1)
    ordered = np.take_along_axis(rows, order, axis=1)
    place = np.arange(rows.shape[1])
    rises = ordered[:, 1:] > ordered[:, :-1]
    edge = np.ones((len(rows), 1), bool)
    first = np.where(np.concatenate([edge, rises], axis=1), place, 0)
    last = np.where(np.concatenate([rises, edge], axis=1), place, rows.shape[1])
    first = np.maximum.accumulate(first, axis=1)
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    normal = np.empty(rows.shape)
    np.put_along_axis(normal, order, find_rank_quantiles(rows.shape[1])[first + last], axis=1)
    return normal.reshape(draws.shape)


def _compare_chains(draws: np.ndarray) -> np.ndarray:
    """Compute R-hat (equations 1 to 4)."""
    count = draws.shape[2]
    between = count * draws.mean(2).var(1, ddof=1)
    within = draws.var(2, ddof=1).mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt((between / within + count - 1) / count)


def _estimate_ess(draws: np.ndarray) -> np.ndarray:
    """Estimate effective sample sizes (equations 10 to 13); those of constants are all draws."""
    _, chains, count = draws.shape
    values = np.asarray(draws, np.float64)
    covariance, means = _autocovariances(values), values.mean(2)
    within = covariance[:, 0] * count / (count - 1)
    whole = covariance[:, 0] + (means.var(1, ddof=1) if chains > 1 else 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = 1 - (within[:, None] - covariance) / whole[:, None]
    correlation[:, 0] = 1.0
    tau = np.maximum(_sum_correlations(correlation), 1 / np.log10(chains * count))
    constant = np.ptp(values, axis=(1, 2)) < np.finfo(np.float64).resolution
    return np.where(constant, chains * count, chains * count / tau)


def _autocovariances(draws: np.ndarray) -> np.ndarray:
    """Compute the autocovariances at every lag, the mean of all chains; (quantities, draws)."""
    count = draws.shape[2]
    size = _even_out(2 * count)
    spectrum = np.fft.rfft(draws - draws.mean(2, keepdims=True), size, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(1)
    return np.fft.irfft(power, size, axis=1)[:, :count] / count


def _even_out(count: int) -> int:
    """Return the smallest number that is not less and has no prime factor above five."""
    powers = [3**i * 5**j for i in range(count.bit_length()) for j in range(count.bit_length())]
    return min(own << (-(-count // own) - 1).bit_length() for own in powers)


def _sum_correlations(correlation: np.ndarray) -> np.ndarray:
    """Compute the autocorrelation times of correlations (quantities, lags) by Geyer's rule.

    Pairs of lags are summed up to the first that is not positive, each at most as large as the one
    before, and half of the last even lag is added.

    Source: Geyer (1992), Practical Markov chain Monte Carlo, section 3.3; the last term as in Stan.
    """
    lags = correlation.shape[1]
    pairs = max((lags - 3) // 2, 0) + 1
    even = correlation[:, 0 : 2 * pairs : 2]
    both = even + correlation[:, 1 : 2 * pairs : 2]
    stops = both <= 0
    stops[:, -1] = True
    last = stops.argmax(1)
    smallest = np.minimum.accumulate(both, axis=1)
    total = np.where(np.arange(pairs) < last[:, None], smallest, 0.0).sum(1)
    rows = np.arange(len(correlation))
    rest, sums = even[rows, last], both[rows, last]
    return 2 * total - 1 + np.where((rest > 0) | (sums >= 0), rest, 0.0)
