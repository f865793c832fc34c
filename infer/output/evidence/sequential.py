"""The evidence that tempered SMC estimated on its way from the prior to the posterior."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...density.base import LogDensity
from ...errors import RunError
from ...run.run import Run
from ..data.versions import read_group
from .estimate import Estimate

NAME = "tempered SMC"
STATISTIC = "log_marginal_likelihood"


def has_smc(result: Any) -> bool:
    """Return whether a result, or the first of several, is one of tempered SMC."""
    return STATISTIC in _read_stats(_list(result)[0])


def estimate_by_smc(density: LogDensity, results: Any, seed: int) -> Estimate:
    """Average the evidences of one or more runs of SMC, each of which is unbiased.

    One run alone does not tell its error.

    Raises:
        RunError: A result is not one of tempered SMC.
    """
    each = [_read_stats(result) for result in _list(results)]
    if not all(STATISTIC in stats for stats in each):
        raise RunError(
            "result",
            f"it has no statistic {STATISTIC!r}",
            'Sample with infer.BlackJAX("smc"), or choose method="bridge".',
        )
    logs = np.array([float(np.asarray(stats[STATISTIC])[0, -1]) for stats in each])
    ratios = np.exp(logs - logs.max())
    mean, count = ratios.mean(), len(logs)
    error = ratios.std(ddof=1) / mean / np.sqrt(count) if count > 1 else np.nan
    return Estimate(float(logs.max() + np.log(mean)), float(error), NAME)


def _list(results: Any) -> list[Any]:
    return list(results) if isinstance(results, Sequence) and len(results) else [results]


def _read_stats(result: Any) -> Any:
    if isinstance(result, Run):
        return result.draws().stats
    return {} if isinstance(result, str) else read_group(result, "sample_stats")
