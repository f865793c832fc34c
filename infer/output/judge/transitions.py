"""Judge the transitions of a run: divergent, cut short, stuck, or with steps that are too short."""

from collections.abc import Iterator, Mapping
from math import exp, lgamma, log

import numpy as np

from ...density.base import LogDensity
from ...engines.base import Engine
from ..finding import Finding
from ..remedy import advise_non_centered, advise_shorter_steps, join_advice
from .slowness import LONGER, OFTEN, find_cut_short
from .suspects import Numbers, name_worst, sort_worst

# Betancourt (2016), arXiv 1604.00695, and Stan.
SMALLEST_BFMI = 0.3
# Shares of divergent transitions from which on they are reported, wherever they start, and if they
# gather. Non-centered eight schools has 0.07 % and no error: at most 0.25 % in 30 runs, gathered in
# none. Of 40 runs on a banana, those whose error nothing else showed had 0.45 % or more.
FREQUENT, DIVERGENT = 0.003, 0.001
# Chance that as many of them start in one tenth of a quantity's draws if they do not gather.
BY_CHANCE = 0.01
# Divergences have a place if this share of them starts among the lowest or highest tenth.
GATHERED, TENTH = 0.5, 0.1
# A chain is stuck if it makes the same draw this many times in a row, and this share of its draws.
STUCK_DRAWS, STUCK_SHARE = 50, 0.02
# Step size, in whitened units, that no well-scaled posterior needs: its optimum falls with the
# fourth root of the number of coordinates, from about 1.2 to 0.07 for 100,000 of them.
SHORTEST_STEP = 0.05
# Maximum number of chains that are named.
MAX_NAMED = 5

Stats = Mapping[str, np.ndarray]


def find_divergent(
    engine: Engine, stats: Stats, density: LogDensity | None, numbers: Numbers | None
) -> Iterator[Finding]:
    """Report divergent transitions and where they start, and chains that make no others."""
    diverging = stats.get("diverging")
    if diverging is None:
        return
    stuck = np.flatnonzero(diverging.all(1))
    if len(stuck):
        yield Finding(
            "stuck_chains",
            f"every transition of {name_chains(stuck)} diverged, so nothing moved from the start.",
            "Look at infer.check(model) and infer.explain(model), or give other starts=.",
        )
    share = diverging.mean()
    if share >= FREQUENT or share >= DIVERGENT and _are_gathered(diverging, numbers):
        where, sites = _locate(diverging, numbers)
        yield Finding(
            "divergences",
            f"{diverging.sum()} of {diverging.size} transitions after warm-up diverged "
            f"({diverging.mean():.1%}), so the draws may miss part of the posterior.{where} "
            "infer.explain_divergences(result) shows where.",
            join_advice(advise_non_centered(density, engine), advise_shorter_steps(engine)),
            sites,
        )


def _can_locate(diverging: np.ndarray, numbers: Numbers) -> bool:
    # Not by evenly spaced draws, if they come from a store.
    return len(numbers.draws) > 0 and numbers.draws.shape[1:] == diverging.shape


def _find_places(diverging: np.ndarray, numbers: Numbers) -> dict[str, np.ndarray]:
    """Return the share of divergent transitions that start in each outer tenth of each quantity."""
    low, high = numbers.find_quantiles((TENTH, 1 - TENTH))[..., None]
    before = numbers.draws[:, :, :-1][:, diverging[:, 1:]]
    return {"lowest": (before < low).mean(1), "highest": (before > high).mean(1)}


def _are_gathered(diverging: np.ndarray, numbers: Numbers | None) -> bool:
    """Return whether more start in one place than by chance, or whether that is not known."""
    if numbers is None or not _can_locate(diverging, numbers):
        return True
    if not (count := int(diverging[:, 1:].sum())):
        return False
    shares = np.concatenate([*_find_places(diverging, numbers).values()])
    most = round(count * float(shares.max()))
    # For any of the places.
    return most > 0 and len(shares) * _find_upper_tail(most, count, TENTH) < BY_CHANCE


def _find_upper_tail(least: int, count: int, chance: float) -> float:
    """Return the probability of `least` or more successes in independent trials."""
    ways = lambda k: lgamma(count + 1) - lgamma(k + 1) - lgamma(count - k + 1)  # noqa: E731
    terms = (ways(k) + k * log(chance) + (count - k) * log(1 - chance)
             for k in range(least, count + 1))  # fmt: skip
    return sum(map(exp, terms))


def _locate(diverging: np.ndarray, numbers: Numbers | None) -> tuple[str, tuple[str, ...]]:
    """Describe in which tenth of a quantity's draws most divergent transitions start."""
    starts = diverging[:, 1:]
    if numbers is None or not starts.any() or not _can_locate(diverging, numbers):
        return "", ()
    places = _find_places(diverging, numbers)
    place, shares = max(places.items(), key=lambda item: item[1].max())
    found = {numbers.names[i]: s for i, s in enumerate(shares) if s >= GATHERED}
    if not found:
        return "", ()
    named = name_worst(found)
    return (
        f" {max(found.values()):.0%} of them start in the {place} tenth of the draws of {named}.",
        sort_worst(found),
    )


def find_long(engine: Engine, stats: Stats, density: LogDensity | None) -> Iterator[Finding]:
    """Report trajectories cut short by the engine's limit, and steps that are far too short."""
    share = float(find_cut_short(engine, stats).mean())
    if share > OFTEN:
        limit = "max_depth" if hasattr(engine, "max_depth") else "max_steps"
        yield Finding(
            "trajectories_cut_short",
            f"{share:.0%} of the trajectories were cut short by {limit}={getattr(engine, limit)}: "
            "the posterior is badly scaled or strongly curved.",
            f"{join_advice(LONGER, advise_non_centered(density, engine))} infer.why_slow(result) "
            "shows how long they are.",
        )
    # Other engines measure their steps in other units.
    steps = stats.get("step_size") if "n_steps" in stats else None
    if steps is not None and (step := float(np.median(steps))) < SHORTEST_STEP:
        yield Finding(
            "short_steps",
            f"the step size is {step:.2g} of the scale that warm-up learned (below "
            f"{SHORTEST_STEP}): some part of the posterior is far narrower than the whole, and the "
            "chains may be trapped there or avoid it.",
            join_advice(LONGER, advise_non_centered(density, engine), "give other starts="),
        )


def find_stuck(stats: Stats, numbers: Numbers) -> Iterator[Finding]:
    """Report chains that made the same draw many times in a row."""
    if "lp" not in stats:
        return
    # Equal log densities are only candidates: in single precision, others may be equal by chance.
    runs = [_longest_run(own) for own in stats["lp"]]
    few = max(STUCK_DRAWS, STUCK_SHARE * stats["lp"].shape[1])
    stuck = [c for c, (a, b) in enumerate(runs) if b - a >= few and _is_one_place(numbers, c, a, b)]
    if stuck:
        longest = max(b - a for a, b in (runs[c] for c in stuck))
        yield Finding(
            "stuck_chains",
            f"{name_chains(np.array(stuck))} stayed at one point for up to {longest} draws in a "
            "row: its steps are too long there.",
            "Warm up longer (warmup=), raise target_acceptance, or give other starts=.",
        )


def _longest_run(values: np.ndarray) -> tuple[int, int]:
    """Return where the longest run of equal values begins and ends."""
    ends = np.concatenate([[0], np.flatnonzero(np.diff(values)) + 1, [len(values)]])
    longest = int(np.argmax(np.diff(ends)))
    return int(ends[longest]), int(ends[longest + 1])


def _is_one_place(numbers: Numbers, chain: int, begin: int, end: int) -> bool:
    own = numbers.draws[:, chain, begin:end]
    return bool(own.size and (own == own[:, :1]).all())


def find_low_bfmi(engine: Engine, stats: Stats, density: LogDensity | None) -> Iterator[Finding]:
    """Report chains whose energy changes slowly from draw to draw."""
    if "energy" not in stats:
        return
    low = compute_bfmi(stats["energy"])
    chains = np.flatnonzero(low < SMALLEST_BFMI)
    if len(chains):
        yield Finding(
            "low_bfmi",
            f"E-BFMI is {np.nanmin(low):.2f} (below {SMALLEST_BFMI}) in {name_chains(chains)}: "
            "the energy changes slowly from draw to draw, which is typical of heavy tails.",
            join_advice(advise_non_centered(density, engine), "give priors lighter tails"),
        )


def compute_bfmi(energy: np.ndarray) -> np.ndarray:
    """Compute the E-BFMI of each chain from energies of shape (chains, draws, ...).

    Source: Betancourt (2016), arXiv 1604.00695, equation 8.
    """
    # The square of an energy of 1e20 nats overflows in single precision.
    energy = np.asarray(energy, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.diff(energy, axis=1) ** 2).mean(1) / energy.var(1, ddof=1)


def name_chains(indices: np.ndarray) -> str:
    """Name chains: "chain 2", or "chains 0, 3"."""
    rest = f" and {len(indices) - MAX_NAMED} more" if len(indices) > MAX_NAMED else ""
    which = ", ".join(map(str, indices[:MAX_NAMED]))
    return f"chain{'s' * (len(indices) > 1)} {which}{rest}"
