"""Judge how well chains mix: R-hat, and effective sample sizes of bulk and tails."""

from collections.abc import Iterator

from ...numerics.mixing import compare_halves, measure_mixing
from ..finding import Finding
from .suspects import Numbers, find_suspects, name_worst, sort_worst

# Vehtari et al. (2021), Rank-normalization, folding, and localization, section 4.
LARGEST_RHAT = 1.01
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
    suspects = find_suspects(numbers, MARGIN * fewest)
    names = [numbers.names[i] for i in suspects]
    rhat, *sizes = measure_mixing(numbers.draws[suspects])
    high = {n: float(r) for n, r in zip(names, rhat, strict=True) if r > LARGEST_RHAT}
    if high:
        yield Finding(
            "high_rhat",
            f"R-hat is up to {max(high.values()):.3f} (above {LARGEST_RHAT}) for "
            f"{name_worst(high)}: the chains do not agree.",
            "Draw more (draws=), warm up longer (warmup=), or look for several modes with "
            "arviz.plot_trace.",
            sort_worst(high),
        )
    bulk, tail = (
        {n: -float(s) for n, s in zip(names, size, strict=True) if s < fewest} for size in sizes
    )
    tail = {name: size for name, size in tail.items() if name not in bulk}
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


def find_unmixed_of_many(numbers: Numbers) -> Iterator[Finding]:
    """Report quantities with a high R-hat; many chains."""
    rhat = compare_halves(numbers.draws)
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
