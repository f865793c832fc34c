"""The evidence that a sampler estimated on its way from the prior to the posterior."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...density.base import LogDensity
from ...errors import RunError
from ...run.run import Run
from ..data.versions import read_group
from .estimate import Estimate

STATISTIC = "log_marginal_likelihood"
# Nested sampling tells its own error.
ERROR = "log_marginal_likelihood_error"


def has_smc(result: Any) -> bool:
    """Return whether a result, or the first of several, is one of tempered SMC."""
    stats = _read_stats(_list(result)[0])
    return STATISTIC in stats and ERROR not in stats


def has_nested(result: Any) -> bool:
    """Return whether a result, or the first of several, is one of nested sampling."""
    return ERROR in _read_stats(_list(result)[0])


def estimate_by_smc(density: LogDensity, results: Any, seed: int) -> Estimate:
    """Average the evidences of one or more runs of SMC, each of which is unbiased.

    One run alone does not tell its error.

    Raises:
        RunError: A result is not one of tempered SMC.
    """
    logs = _read_last(results, STATISTIC, "smc")
    ratios = np.exp(logs - logs.max())
    mean, count = ratios.mean(), len(logs)
    error = ratios.std(ddof=1) / mean / np.sqrt(count) if count > 1 else np.nan
    return Estimate(float(logs.max() + np.log(mean)), float(error), "tempered SMC")


def estimate_by_nested(density: LogDensity, results: Any, seed: int) -> Estimate:
    """Average the log evidences of one or more runs of nested sampling, each with its error.

    Raises:
        RunError: A result is not one of nested sampling.
    """
    errors = _read_last(results, ERROR, "nested_slice")
    logs = _read_last(results, STATISTIC, "nested_slice")
    error = np.sqrt(np.sum(errors**2)) / len(errors)
    return Estimate(float(logs.mean()), float(error), "nested slice sampling")


def _read_last(results: Any, statistic: str, algorithm: str) -> np.ndarray:
    """Read the last value of a statistic in each of one or more results."""
    each = [_read_stats(result) for result in _list(results)]
    if not all(statistic in stats for stats in each):
        raise RunError(
            "result",
            f"it has no statistic {statistic!r}",
            f'Sample with infer.BlackJAX("{algorithm}"), or choose method="bridge".',
        )
    return np.array([float(np.asarray(stats[statistic])[0, -1]) for stats in each])


def _list(results: Any) -> list[Any]:
    return list(results) if isinstance(results, Sequence) and len(results) else [results]


def _read_stats(result: Any) -> Any:
    if isinstance(result, Run):
        return result.draws().stats
    return {} if isinstance(result, str) else read_group(result, "sample_stats")
