"""Judge the draws of a run: what is wrong with them, and what to do about it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import arviz as az
import numpy as np
import xarray

from ..calls import check_arguments
from ..density.base import LogDensity
from ..engines.base import Engine
from ..numerics.agreement import split_rhat
from ..run.run import Run
from .angles import find_wrapped_angles, replace_angles
from .arviz import SET, to_arviz
from .moved import describe_moves
from .origin import find_run
from .remedy import advise_non_centered, advise_shorter_steps, join_advice
from .slowness import LONGER, OFTEN, find_cut_short
from .suspects import MAX_NUMBERS, Numbers, find_suspects, lay_out_numbers

# Minimum number of draws per chain; with fewer, R-hat, ESS and E-BFMI are noise.
MIN_DRAWS = 100
# Vehtari et al. (2021), Rank-normalization, folding, and localization, section 4.
LARGEST_RHAT = 1.01
SMALLEST_ESS = 100
# With more chains each one is too short for those two: only a clear disagreement is reported.
MANY_CHAINS = 16
LARGEST_RHAT_OF_MANY = 1.1
# A quantity passes if its coarse ESS is this many times SMALLEST_ESS. That also covers R-hat: for
# split chains that agree, R-hat^2 - 1 is about 1 / ESS of each, 0.02 for an ESS of 50.
MARGIN = 3
# Betancourt (2016), arXiv 1604.00695, and Stan.
SMALLEST_BFMI = 0.3
# Share of divergent transitions below which they do not show that draws miss anything.
DIVERGENT = 0.001
# Maximum number of sites or chains that are named.
MAX_NAMED = 5


@dataclass(frozen=True)
class Verdict:
    """What is wrong with the draws of a run.

    Attributes:
        findings: A few sentences each, with what to do; empty if no problem was found.
    """

    findings: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.findings) or "no problems found"


@check_arguments("infer.verdict")
def verdict(run: Any) -> Verdict:
    """Judge the draws of a run; `sample` warns of the same problems.

    Checks: at least one divergent transition in a thousand, chains in which every transition
    diverges, and trajectories cut short by the engine's limit; from 100 draws per chain on, also
    E-BFMI below 0.3, R-hat above 1.01, and a bulk ESS below 100 per chain. In large posteriors a
    thousand quantities are screened coarsely, and ArviZ computes the diagnostics of the worst ones.
    With more than 16 chains only an R-hat above 1.1 is reported, since the mean of each chain is
    still noisy. For several data sets, the number of affected ones is reported. Angles are judged
    by their cosines and sines; if they lie on both sides of pi, a finding says that their plain
    means are meaningless. Chains that warm-up relocated are listed last, with both places.

    Args:
        run: A run of a sampler with draws, or what `infer.sample` returned.

    Raises:
        RunError: There is no draw yet, or the run of a result is not known, as for one that was
            read from a file.
    """
    run = find_run(run)
    return judge_run(run, to_arviz(run))


def judge_run(run: Run, data: Any) -> Verdict:
    """Judge a run whose ArviZ data are already made."""
    return Verdict((*judge_draws(run.engine, data, run.density).findings, *describe_moves(run)))


def judge_draws(engine: Engine, data: Any, density: LogDensity | None = None) -> Verdict:
    """Judge draws in ArviZ data.

    Args:
        engine: The engine that made the draws.
        data: What `to_arviz` returned.
        density: Their log density, if advice shall refer to how the model is written.
    """
    posterior, stats = _read_group(data, "posterior"), _read_group(data, "sample_stats")
    # Plain arrays: making one with coordinates takes longer than judging it.
    stats = {str(name): np.asarray(stats.variables[name]) for name in stats}
    if SET in posterior.dims:
        return Verdict(
            (*_find_in_datasets(engine, stats, posterior), *find_wrapped_angles(posterior))
        )
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    findings = [*_find_divergent(engine, stats, density), *_find_cut_short(engine, stats, density)]
    if draws >= MIN_DRAWS:
        judge = _find_unmixed if chains <= MANY_CHAINS else _find_unmixed_of_many
        findings += [*_find_low_bfmi(stats, density), *judge(lay_out_numbers(posterior))]
    return Verdict((*findings, *find_wrapped_angles(posterior)))


def _read_group(data: Any, name: str) -> xarray.Dataset:
    if name not in data:
        return xarray.Dataset()
    group = data[name]
    return group.to_dataset() if hasattr(group, "to_dataset") else group


def _find_divergent(
    engine: Engine, stats: Mapping[str, np.ndarray], density: LogDensity | None
) -> Iterator[str]:
    diverging = stats.get("diverging")
    if diverging is None:
        return
    stuck = np.flatnonzero(diverging.all(1))
    if len(stuck):
        yield (
            f"every transition of {_name_chains(stuck)} diverged, so nothing moved from the start. "
            "Look at infer.check(model) and infer.explain(model), or give other starts=."
        )
    if diverging.mean() >= DIVERGENT:
        yield (
            f"{diverging.sum()} of {diverging.size} transitions after warm-up diverged "
            f"({diverging.mean():.1%}), so the draws may miss part of the posterior. "
            "infer.explain_divergences(result) shows where. "
            f"{join_advice(advise_non_centered(density), advise_shorter_steps(engine))}"
        ).strip()


def _find_cut_short(
    engine: Engine, stats: Mapping[str, np.ndarray], density: LogDensity | None
) -> Iterator[str]:
    share = float(find_cut_short(engine, stats).mean())
    if share > OFTEN:
        limit = "max_depth" if hasattr(engine, "max_depth") else "max_steps"
        yield (
            f"{share:.0%} of the trajectories were cut short by {limit}={getattr(engine, limit)}: "
            "the posterior is badly scaled or strongly curved. "
            f"{join_advice(LONGER, advise_non_centered(density))} infer.why_slow(result) shows how "
            "long they are."
        )


def _find_low_bfmi(stats: Mapping[str, np.ndarray], density: LogDensity | None) -> Iterator[str]:
    if "energy" not in stats:
        return
    low = compute_bfmi(stats["energy"])
    chains = np.flatnonzero(low < SMALLEST_BFMI)
    if len(chains):
        yield (
            f"E-BFMI is {np.nanmin(low):.2f} (below {SMALLEST_BFMI}) in {_name_chains(chains)}: "
            "the energy changes slowly from draw to draw, which is typical of heavy tails. "
            f"{join_advice(advise_non_centered(density), 'give priors lighter tails')}"
        )


def compute_bfmi(energy: np.ndarray) -> np.ndarray:
    """Compute the E-BFMI of each chain from energies of shape (chains, draws, ...).

    Source: Betancourt (2016), arXiv 1604.00695, equation 8.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.diff(energy, axis=1) ** 2).mean(1) / energy.var(1, ddof=1)


def _find_unmixed(numbers: Numbers) -> Iterator[str]:
    chains = numbers.draws.shape[1]
    coarse = find_suspects(numbers.draws, MARGIN * SMALLEST_ESS * chains)
    screened = [(numbers.names[i], numbers.draws[i]) for i in coarse]
    rhat = {name: float(az.rhat(draws)) for name, draws in screened} if chains > 1 else {}
    high = {name: r for name, r in rhat.items() if r > LARGEST_RHAT}
    if high:
        yield (
            f"R-hat is up to {max(high.values()):.3f} (above {LARGEST_RHAT}) for "
            f"{_name_worst(high)}: the chains do not agree. Draw more (draws=), warm up longer "
            "(warmup=), or look for several modes with arviz.plot_trace."
        )
    ess = {name: float(az.ess(draws)) for name, draws in screened}
    low = {name: -e for name, e in ess.items() if e < SMALLEST_ESS * chains}
    if low:
        yield (
            f"the effective sample size is down to {-max(low.values()):.0f} (below {SMALLEST_ESS} "
            f"per chain) for {_name_worst(low)}: means and intervals are uncertain. Draw more "
            "(draws=); infer.why_slow(result) shows what a draw costs."
        )


def _find_unmixed_of_many(numbers: Numbers) -> Iterator[str]:
    rhat = split_rhat(np.moveaxis(numbers.draws, 0, -1))
    high = {n: r for n, r in zip(numbers.names, rhat, strict=True) if r > LARGEST_RHAT_OF_MANY}
    if high:
        yield (
            f"R-hat of {numbers.draws.shape[1]} chains is up to {max(high.values()):.3f} (above "
            f"{LARGEST_RHAT_OF_MANY}) for {_name_worst(high)}: the chains do not agree. Warm up "
            "longer (warmup=), draw more (draws=), or look for several modes with arviz.plot_trace."
        )


def _find_in_datasets(
    engine: Engine, stats: Mapping[str, np.ndarray], posterior: xarray.Dataset
) -> Iterator[str]:
    """Count the affected data sets; statistics have the shape (chains, draws, data sets)."""
    none = np.zeros((1, 1, 1), bool)
    affected = {
        "transitions diverged": stats.get("diverging", none).mean((0, 1)) >= DIVERGENT,
        "trajectories were cut short": (none + find_cut_short(engine, stats)).mean((0, 1)) > OFTEN,
    }
    if posterior.sizes["draw"] >= MIN_DRAWS:
        if "energy" in stats:
            low = compute_bfmi(stats["energy"]) < SMALLEST_BFMI
            affected[f"E-BFMI is below {SMALLEST_BFMI}"] = low.any(0)
        affected[f"R-hat is above {LARGEST_RHAT}"] = _find_disagreeing(posterior)
    counts = [f"{what} in {int(which.sum())}" for what, which in affected.items() if which.any()]
    if counts:
        yield (
            f"of {posterior.sizes[SET]} data sets, {', '.join(counts)}. The group sample_stats, "
            "arviz.rhat and arviz.ess show which ones."
        )


def _find_disagreeing(posterior: xarray.Dataset) -> np.ndarray:
    """Return which data sets have a quantity whose chains disagree, by R-hat without ranks."""
    plain = replace_angles(posterior).values()
    arrays = [array.transpose("chain", "draw", SET, ...) for array in plain]
    entries = int(np.prod(arrays[0].shape[:3]))
    stride = -(-sum(array.size for array in arrays) // (MAX_NUMBERS * entries))
    high = []
    for array in arrays:
        numbers = np.asarray(array).reshape(*array.shape[:3], -1)[..., ::stride]
        rhat = split_rhat(numbers.reshape(*numbers.shape[:2], -1)).reshape(numbers.shape[2:])
        high.append((rhat > LARGEST_RHAT).any(-1))
    return np.any(high, 0)


def _name_chains(indices: np.ndarray) -> str:
    rest = f" and {len(indices) - MAX_NAMED} more" if len(indices) > MAX_NAMED else ""
    which = ", ".join(map(str, indices[:MAX_NAMED]))
    return f"chain{'s' * (len(indices) > 1)} {which}{rest}"


def _name_worst(found: Mapping[str, float]) -> str:
    """Name the quantities with the largest values first."""
    names = sorted(found, key=lambda name: -found[name])
    return ", ".join(names[:MAX_NAMED]) + (" and others" if len(names) > MAX_NAMED else "")
