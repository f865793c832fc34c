"""The draws of a run, from memory or from its store: all of them, or evenly spaced ones."""

from typing import Any, NamedTuple

import numpy as np
import xarray

from ...engines.base import Draws
from ...errors import RunError
from ...models.inputs.names import join_names
from ...models.protocol.site import FLAT_SITE
from ...run.run import Run
from .arviz import to_arviz
from .flat_site import rejoin
from .values import unconstrain_all
from .versions import groups_of

# Numbers of a stored posterior, and draws of a chain, that are read; of more, evenly spaced ones.
MAX_NUMBERS, MAX_DRAWS = 2**21, 10_000
# Draws per chain that are read in the flat vector.
MAX_FLAT = 1000
WITHOUT_ENERGIES = "E-BFMI was not computed, since consecutive draws are not stored."
WITHOUT_SITES = "Modes, mirror images and narrow necks were not looked for"


class Recorded(NamedTuple):
    """Draws of a run.

    Attributes:
        data: ArviZ data, or its groups by name.
        draws: The same draws in the flat vector, or evenly spaced ones of them, without gradients
            if they come from a store; `None` if they are not known.
        limits: What cannot be judged by them, a sentence each.
    """

    data: Any
    draws: Draws | None
    limits: tuple[str, ...] = ()


def read_recorded(run: Run, result: Any) -> Recorded:
    """Read the draws of a run; of one whose draws have left the memory, those in its store.

    Args:
        run: The run.
        result: What the call returned that made it, or the run itself.
    """
    if result is run or not has_left_memory(run):
        return Recorded(to_arviz(run), run.draws())
    groups, limits = thin_draws(result)
    if run.family.count > 1:
        return Recorded(groups, None, limits)
    if missing := find_missing(run, groups["posterior"]):
        unseen = f"{WITHOUT_SITES}, since {join_names(missing)} is not stored."
        return Recorded(groups, None, (*limits, unseen))
    named = {**groups, "posterior": groups["posterior"].drop_vars(FLAT_SITE, errors="ignore")}
    return Recorded(named, _flatten(run, groups), limits)


def read_positions(run: Run, result: Any) -> np.ndarray:
    """Read draws of a run of one model in the flat vector, of a store evenly spaced ones.

    Returns:
        Shape (chains, draws, size).
    """
    is_whole = result is run or not has_left_memory(run)
    if is_whole:
        return run.draws().positions[..., : run.density.size]
    return _flatten_positions(run, thin_draws(result)[0])[0]


def has_left_memory(run: Run) -> bool:
    """Return whether some draws of a run are in its store alone."""
    return bool(run.groups[0].dropped)


def thin_draws(data: Any) -> tuple[dict[str, xarray.Dataset], tuple[str, ...]]:
    """Read draws and statistics of a store, evenly spaced so that they fit in memory.

    Which transitions diverged is read whole, and energies of consecutive draws, the newest ones.

    Returns:
        The groups, and a sentence that says so if draws are left out.
    """
    groups = _groups_with_flat_site(data)
    kept = {name: groups[name] for name in ("posterior", "sample_stats") if name in groups}
    posterior, limits = kept["posterior"], ()
    if _is_thinned(posterior) and "energy" in kept.get("sample_stats", ()):
        kept["sample_stats"] = kept["sample_stats"].drop_vars("energy")
        limits = (WITHOUT_ENERGIES,)
    draws, numbers = posterior.sizes["draw"], sum(a.size for a in posterior.data_vars.values())
    stride = max(-(-numbers // MAX_NUMBERS), -(-draws // MAX_DRAWS))
    thinned = {n: group.isel(draw=slice(None, None, stride)).load() for n, group in kept.items()}
    if stride == 1:
        return thinned, limits
    count = thinned["posterior"].sizes["draw"]
    if "sample_stats" in kept:
        stats, lengths = kept["sample_stats"], {"diverging": draws, "energy": count}
        whole = {n: stats[n][:, draws - m :].to_numpy() for n, m in lengths.items() if n in stats}
        replaced = {n: (("chain", f"{n}_draw", *stats[n].dims[2:]), a) for n, a in whole.items()}
        thinned["sample_stats"] = thinned["sample_stats"].assign(replaced)
    few = f"Of {draws} stored draws per chain, {count} evenly spaced ones were judged."
    return thinned, (*limits, few)


def _groups_with_flat_site(data: Any) -> dict[str, xarray.Dataset]:
    groups = groups_of(data)
    return {**groups, "posterior": rejoin(groups)}


def _is_thinned(posterior: xarray.Dataset) -> bool:
    """Return whether only every so many draws were stored, by their numbers."""
    numbers = posterior.coords["draw"].to_numpy() if "draw" in posterior.coords else np.arange(2)
    return len(numbers) > 1 and bool(numbers[1] - numbers[0] > 1)


def find_missing(run: Run, posterior: xarray.Dataset) -> tuple[str, ...]:
    """Return the names of the latent sites that a posterior does not have."""
    own = [site.name for site in run.density.latent]
    return tuple(n for n in own if n not in posterior and f"{n}.real" not in posterior)


def read_stats(run: Run, result: Any) -> dict[str, np.ndarray]:
    """Read the statistics of all draws of a run from memory or from its store."""
    if result is run or not has_left_memory(run):
        return run.draws().stats
    stats = groups_of(result)["sample_stats"].data_vars
    return {str(name): a.to_numpy() for name, a in stats.items() if "draw" in a.dims}


def read_places(run: Run, result: Any, chains: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Read single draws of a run in the flat vector, shape (n, size).

    Args:
        run: A run of one model.
        result: Its result, or the run itself.
        chains: Chain of each, shape (n,).
        draws: Number of each within its chain, likewise.

    Raises:
        RunError: They are in a store that lacks latent sites, or has only every so many draws.
    """
    if result is run or not has_left_memory(run):
        return run.draws().positions[chains, draws, : run.density.size]
    posterior = _groups_with_flat_site(result)["posterior"]
    missing = find_missing(run, posterior)
    if missing or posterior.sizes["draw"] < run.fewest():
        what = f"does not have {join_names(missing)}" if missing else "does not have all draws"
        raise RunError(
            "run", f"its store {what}", "Store all latent sites and draws, without keep=, drop= "
            "and thin=.",
        )  # fmt: skip
    if not len(chains):
        return np.zeros((0, run.density.size))
    at = {"chain": chains, "draw": draws}
    each = {dim: xarray.DataArray(places, dims="place") for dim, places in at.items()}
    return unconstrain_all(run.density, _read_values(run, posterior.isel(each).load()))


def _flatten(run: Run, groups: dict[str, xarray.Dataset]) -> Draws:
    """Compute positions of evenly spaced draws, without gradients."""
    positions, few = _flatten_positions(run, groups)
    stats = groups.get("sample_stats", xarray.Dataset())
    by_draw = {str(n): a for n, a in stats.data_vars.items() if "draw" in a.dims}
    own = {name: array.isel(few).to_numpy() for name, array in by_draw.items()}
    return Draws(positions, positions[..., :0], own)


def _flatten_positions(
    run: Run, groups: dict[str, xarray.Dataset]
) -> tuple[np.ndarray, dict[str, slice]]:
    """Compute positions of evenly spaced draws; also return which draws those are."""
    posterior = groups["posterior"]
    few = {"draw": slice(None, None, -(-posterior.sizes["draw"] // MAX_FLAT))}
    return unconstrain_all(run.density, _read_values(run, posterior.isel(few))), few


def _read_values(run: Run, posterior: xarray.Dataset) -> dict[str, np.ndarray]:
    """Read the latent sites; complex ones are stored in two parts."""
    return {
        site.name: posterior[site.name].to_numpy()
        if site.name in posterior
        else posterior[f"{site.name}.real"].to_numpy()
        + 1j * posterior[f"{site.name}.imag"].to_numpy()
        for site in run.density.latent
    }
