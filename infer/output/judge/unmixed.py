"""Judge how well chains mix: R-hat, and effective sample sizes of bulk and tails."""

from collections.abc import Iterator, Mapping

import arviz as az
import numpy as np

from ...numerics.agreement import split_rhat
from ..finding import Finding
from .suspects import Numbers, find_suspects, name_worst, sort_worst

# Vehtari et al. (2021), Rank-normalization, folding, and localization, section 4.
LARGEST_RHAT = 1.01
# Quantiles of the tail ESS.
TAILS = (0.05, 0.95)
SMALLEST_ESS = 100
# With more chains each one is too short for those two: only a clear disagreement is reported.
MANY_CHAINS = 16
LARGEST_RHAT_OF_MANY = 1.1
# A quantity passes if its coarse ESS is this many times SMALLEST_ESS. That also covers R-hat: for
# split chains that agree, R-hat^2 - 1 is about 1 / ESS of each, 0.02 for an ESS of 50.
MARGIN = 3


def find_unmixed(numbers: Numbers) -> Iterator[Finding]:
    """Report quantities with a high R-hat or a low effective sample size; few chains."""
    chains = numbers.draws.shape[1]
    fewest = SMALLEST_ESS * chains
    coarse = find_suspects(numbers.draws, MARGIN * fewest)
    screened = {numbers.names[i]: numbers.draws[i] for i in coarse}
    rhat = {name: float(az.rhat(draws)) for name, draws in screened.items()} if chains > 1 else {}
    high = {name: r for name, r in rhat.items() if r > LARGEST_RHAT}
    if high:
        yield Finding(
            "high_rhat",
            f"R-hat is up to {max(high.values()):.3f} (above {LARGEST_RHAT}) for "
            f"{name_worst(high)}: the chains do not agree.",
            "Draw more (draws=), warm up longer (warmup=), or look for several modes with "
            "arviz.plot_trace.",
            sort_worst(high),
        )
    bulk = _find_low_ess(screened, "bulk", fewest)
    others = {name: draws for name, draws in screened.items() if name not in bulk}
    tail = _find_low_ess(others, "tail", fewest)
    if bulk:
        yield Finding(
            "low_ess",
            f"the effective sample size is down to {-max(bulk.values()):.0f} (below {SMALLEST_ESS} "
            f"per chain) for {name_worst(bulk)}: means and intervals are uncertain.",
            "Draw more (draws=); infer.why_slow(result) shows what a draw costs.",
            sort_worst(bulk),
        )
    if tail:
        yield Finding(
            "low_tail_ess",
            f"the effective sample size of the 5 % and 95 % quantiles is down to "
            f"{-max(tail.values()):.0f} (below {SMALLEST_ESS} per chain) for {name_worst(tail)}: "
            "the tails are uncertain.",
            "Draw more (draws=), or report narrower intervals.",
            sort_worst(tail),
        )


def _find_low_ess(screened: Mapping[str, np.ndarray], method: str, fewest: int) -> dict[str, float]:
    """Return minus the effective sample size of each quantity that has too small a one."""
    # ArviZ 1 has no default for the tails of an array.
    prob = TAILS if method == "tail" else None
    ess = {n: float(az.ess(a, method=method, prob=prob)) for n, a in screened.items()}  # pyright: ignore
    return {name: -size for name, size in ess.items() if size < fewest}


def find_unmixed_of_many(numbers: Numbers) -> Iterator[Finding]:
    """Report quantities with a high R-hat; many chains."""
    rhat = split_rhat(np.moveaxis(numbers.draws, 0, -1))
    high = {n: r for n, r in zip(numbers.names, rhat, strict=True) if r > LARGEST_RHAT_OF_MANY}
    if high:
        yield Finding(
            "high_rhat",
            f"R-hat of {numbers.draws.shape[1]} chains is up to {max(high.values()):.3f} (above "
            f"{LARGEST_RHAT_OF_MANY}) for {name_worst(high)}: the chains do not agree.",
            "Warm up longer (warmup=), draw more (draws=), or look for several modes with "
            "arviz.plot_trace.",
            sort_worst(high),
        )
