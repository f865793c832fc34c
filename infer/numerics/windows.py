"""Split warm-up into windows; at the end of each, all chains together learn a metric."""

FIRST = 10
GROWTH = 1.5
# The last window learns only the step size. With 45 draws and with 30, acceptance and ESS were the
# same within the noise of 20 seeds on five models; with 20, step sizes scattered by a quarter more.
FINAL_SHARE, LONGEST_FINAL = 0.15, 30
# Minimum number of chains, and warm-up draws per chain. All chains learn from the draws of all, so
# many chains need fewer: 64 chains did as well with 100 draws on five models, and 512 with 60 on
# two, and saved up to half of the gradients of warm-up (benchmarks/results/many_chains.md).
WARMUPS = ((512, 60), (64, 100), (1, 300))


def choose_warmup_draws(chains: int) -> int:
    """Return the maximum number of warm-up draws per chain if the user gives none."""
    return next(draws for fewest, draws in WARMUPS if chains >= fewest)


def plan_windows(warmup: int) -> tuple[int, ...]:
    """Return the number of draws per chain in each window; the last learns no metric.

    Each window is half as long again as the one before. The metric is learned from the last two
    together, so it soon forgets the earliest draws and is never reset. Below 20 draws there is one
    window, for the step size.

    Source: the schedule of nuts-rs (Seyboldt et al. 2026, arXiv 2603.18845), with windows
    shared by all chains.
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
