"""Split warm-up into windows, at whose ends all chains meet to learn a metric."""

FIRST = 10
GROWTH = 1.5
# The last part learns the step size alone. Of 45 draws and of 30, acceptance and ESS were the same
# within the noise of 20 seeds on five models; of 20, step sizes scattered by a fourth more.
FINAL_SHARE, LONGEST_FINAL = 0.15, 30
# Draws of warm-up per chain by the number of chains, of which all learn from the draws of all: 64
# chains lost nothing by 100 draws on five models, nor 512 by 60 on two, and saved up to half of the
# gradients of warm-up (benchmarks/results/many_chains.md).
WARMUPS = ((512, 60), (64, 100), (1, 300))


def default_warmup(chains: int) -> int:
    """Return the most draws of warm-up per chain where the user names no number."""
    return next(draws for fewest, draws in WARMUPS if chains >= fewest)


def warmup_windows(warmup: int) -> tuple[int, ...]:
    """Return the number of draws per chain in each window; the last learns no metric.

    Windows grow by half, and the metric is learned from the last two together, so it never
    rests on the earliest draws and is never reset to nothing. Below 20 draws there is one
    window, for the step size.

    Source: the schedule of nuts-rs (Seyboldt et al. 2026, arXiv 2603.18845), with windows
    that all chains share.
    """
    if warmup < 20:
        return (warmup,) if warmup else ()
    final = min(max(int(FINAL_SHARE * warmup), 5), LONGEST_FINAL)
    left, size, windows = warmup - final, FIRST, []
    while left >= size + int(GROWTH * size):
        windows.append(size)
        left -= size
        size = int(GROWTH * size)
    return (*windows, left, final)
