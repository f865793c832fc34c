"""Look for modes that no chain of a run has visited, with more chains from elsewhere."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ...engines.base import Draws
from ...engines.map import MAP
from ...errors import StartError
from ...run.run import Run
from ...run.start import start
from ..data.arviz import to_arviz
from ..data.versions import read_group
from ..finding import Finding
from ..fitted.optimum import read_optima
from .modes import round_share, separate_chains, weigh_modes
from .peaks import Peak, compute_gradients, measure_peak, measure_precision
from .suspects import Numbers, lay_out_numbers

# Chains from the prior (or from uniform starts), chains from modes, and draws of each.
CHAINS, FROM_MODES, DRAWS = 16, 4, 200
# Searches for modes, and the key of all of this.
SEARCHES, KEY = 8, 20_221
# Largest size of a posterior whose peaks are measured, which takes some three gradients a
# coordinate.
MAX_SIZE = 200
# Share of the mass from which a mode is reported.
SMALLEST_SHARE = 0.001


def find_unvisited_modes(run: Run, data: Any, draws: Draws) -> Iterator[Finding]:
    """Report modes that more chains find and no chain of the run has visited.

    Sixteen chains start at draws from the prior, if all sites have one that can be drawn from, and
    else from uniform starts; four more start at the highest modes that searches find. Before that,
    the mass of each of these modes is compared with the draws near it, which shows a narrow spike
    that no chain would enter.

    Args:
        run: A run of one model whose log density has a value.
        data: Its ArviZ data.
        draws: The same draws in the flat vector.
    """
    searches, modes = _search_modes(run)
    peaks = list(_find_unseen_peaks(run, searches, draws))
    if peaks:
        yield from peaks
        return
    where = "uniform" if run.density.without_prior else "prior"
    more = _sample_from(run, [*[where] * CHAINS, *modes])
    if more is None:
        return
    numbers, joined = _join(run, data, draws, more)
    place, groups = separate_chains(numbers.draws)
    weights = weigh_modes(groups, joined.positions, joined.stats["lp"]) if groups else []
    name, own = (numbers.names[place], numbers.draws[place]) if groups else ("", numbers.draws)
    for group, weight in zip(groups, weights, strict=True):
        if group.min() >= run.chains and weight >= SMALLEST_SHARE:
            yield Finding(
                "unvisited_mode",
                f"{len(group)} of {more.chains} more chains, from other starts, stay in a mode "
                f"that no chain of the run visited, at {name} = {np.median(own[group]):.3g} with "
                f"{round_share(float(weight))} of the mass (by normal approximations).",
                "Sample with infer.Tempered(), or run more chains from the prior "
                '(starts="prior"), and weight the modes by hand.',
                (name,),
            )


def _find_unseen_peaks(run: Run, searches: Run, draws: Draws) -> Iterator[Finding]:
    """Report the heaviest peak that searches found and that holds much mass, but few draws."""
    evaluate, size = run.evaluate, run.density.size
    if evaluate is None or size > MAX_SIZE:
        return
    ends = searches.draws()
    positions, lp = draws.positions[..., :size], draws.stats["lp"]
    found = []
    for i in np.flatnonzero(ends.stats["converged"][:, 0]):
        mode, level = ends.positions[i, 0, :size], float(ends.stats["lp"][i, 0])
        differences = lambda p: compute_gradients(evaluate, p, run.chains)  # noqa: E731
        precision = measure_precision(run.density, mode, differences)
        peak = measure_peak(mode, level, precision, positions, lp)
        if peak is not None and peak.is_unseen:
            found.append((peak.share, level, peak, mode))
    if found:
        yield _describe_peak(run, positions, *max(found, key=lambda each: each[0])[1:])


def _describe_peak(
    run: Run, positions: np.ndarray, level: float, peak: Peak, mode: np.ndarray
) -> Finding:
    away = np.abs(mode - positions.mean((0, 1))) / positions.std((0, 1))
    label = run.density.labels()[int(np.argmax(away))]
    return Finding(
        "unvisited_mode",
        f"a search found a peak of the density at {label} = {mode[np.argmax(away)]:.3g} (in the "
        f"unconstrained space), with a log density of {level:.4g} nats and "
        f"{round_share(peak.share)} of the mass by a normal approximation, but only "
        f"{peak.seen:.1%} of the draws lie in it.",
        "Start chains there (starts= takes what infer.maximize returns), and weight the modes by "
        "hand.",
        (label,),
    )


def _search_modes(run: Run) -> tuple[Run, list[dict[str, np.ndarray]]]:
    """Search for modes; return the searches, and the values at the highest ones."""
    engine = MAP(space="unconstrained")
    searches = start(run.density.model, engine, chains=SEARCHES, key=KEY, progress=False)
    (found,) = read_optima(searches.advance(1))
    names = [site.name for site in run.density.latent]
    best = [int(i) for i in np.argsort(-np.nan_to_num(found.every_lp, nan=-np.inf))[:FROM_MODES]]
    return searches, [{name: found.every_value[name][i] for name in names} for i in best]


def _sample_from(run: Run, starts: list[Any]) -> Run | None:
    """Make a short run from starts; None if there is no usable one."""
    options = {"chains": len(starts), "starts": starts, "key": KEY, "progress": False}
    try:
        return start(run.density.model, run.engine, **options).advance(DRAWS)
    except StartError:
        return None


def _join(run: Run, data: Any, own: Draws, more: Run) -> tuple[Numbers, Draws]:
    """Join the newest draws of both runs, chain after chain, with `lp` as one more quantity.

    A narrow mode inside a wide one differs from it in its log density alone.
    """
    each = [lay_out_numbers(read_group(d, "posterior")) for d in (data, to_arviz(more))]
    common = [name for name in each[0].names if name in each[1].names]
    rows = [[one.names.index(name) for name in common] for one in each]
    newest = [one.draws[r, :, -DRAWS:] for one, r in zip(each, rows, strict=True)]
    count = min(a.shape[2] for a in newest)
    both, size = [own, more.draws()], run.density.size
    positions = np.concatenate([d.positions[:, -count:, :size] for d in both])
    lp = np.concatenate([d.stats["lp"][:, -count:].astype(np.float64) for d in both])
    draws = np.concatenate([a[..., -count:] for a in newest], axis=1)
    return Numbers([*common, "lp"], np.concatenate([draws, lp[None]])), Draws(
        positions, positions, {"lp": lp}
    )
