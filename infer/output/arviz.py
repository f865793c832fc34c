"""Draws as ArviZ data: posterior, sample_stats, observed_data and constant_data."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray

from ..density.base import LogDensity
from ..models.site import Dims
from ..run.run import Run
from .values import constrained, observed_values
from .versions import as_arviz


def to_arviz(run: Run) -> Any:
    """Return the draws made so far as what the installed ArviZ takes.

    Groups: `posterior` (latent and derived sites), `sample_stats` (by ArviZ's names),
    `observed_data` and `constant_data`, which has the frozen sites too. The attributes tell
    the engine, the view of the posterior and whether the Jacobian is included, the map of each
    site, which sites are frozen, and where the time went.

    Raises:
        RunError: Some chain has no draw yet.
    """
    draws = run.draws()
    values = constrained(run.density, draws.positions)
    stats = {name: (("chain", "draw"), a) for name, a in draws.stats.items()}
    return arviz_of(run.density, values, xarray.Dataset(stats), attributes(run))


def arviz_of(
    density: LogDensity,
    values: Mapping[str, np.ndarray],
    stats: xarray.Dataset,
    attributes: Mapping[str, Any],
) -> Any:
    """Gather values of shape (chains, draws, *site), statistics and the model's data."""
    groups = {
        "posterior": _dataset(density, values, ("chain", "draw")),
        "sample_stats": stats.assign_coords(_numbered(stats.sizes["chain"], stats.sizes["draw"])),
    } | data_groups(density)
    return as_arviz({name: g for name, g in groups.items() if g.data_vars}, attributes)


def data_groups(density: LogDensity) -> dict[str, xarray.Dataset]:
    """Sort a model's data into observed and constant, by the names of its sites."""
    observed = observed_values(density)
    constants = density.model.constants()
    rest = {name: a for name, a in constants.items() if name not in observed}
    return {
        "observed_data": _dataset(density, observed, ()),
        "constant_data": _dataset(density, rest, ()),
    }


def attributes(run: Run) -> dict[str, Any]:
    """Describe a run in plain values that any file format keeps."""
    seconds = {f"{name}_seconds": value for name, value in asdict(run.timing).items()}
    return {
        "inference_library": "pushforward",
        "inference_library_version": _version(),
        "engine": repr(run.engine),
        "view": run.density.view,
        "jacobian": int(run.density.jacobian),
        "bijectors": ", ".join(f"{site.name}: {site.bijector}" for site in run.density.latent),
        "frozen": ", ".join(site.name for site in run.density.sites if site.role == "frozen"),
        "warmup_draws": run.warmup,
        "chains_per_program": run.plan.width,
        "native_loop": int(run.plan.native),
        "why_not_native": run.why_not_native or "",
        "rewritten_for_native": ", ".join(run.rewritten),
        "sampling_time": run.timing.sampling,
    } | seconds


def _dataset(
    density: LogDensity, values: Mapping[str, np.ndarray], lead: tuple[str, ...]
) -> xarray.Dataset:
    names: dict[str, Dims] = {site.name: site.dims for site in density.sites}
    coords = density.model.labels.coords
    arrays = {}
    for name, value in values.items():
        own = names.get(name, (None,) * value.ndim)
        dims = lead + tuple(d or f"{name}_dim_{i}" for i, d in enumerate(own))
        arrays |= {part: (dims, numbers) for part, numbers in _real(name, value).items()}
    used = {d for dims, _ in arrays.values() for d in dims}
    known = {d: c for d, c in coords.items() if d in used}
    numbered = _numbered(*next(iter(values.values())).shape[:2]) if lead else {}
    return xarray.Dataset(arrays, coords=known | numbered)


def _real(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Part complex numbers, which neither ArviZ's diagnostics nor netCDF take."""
    if not np.iscomplexobj(value):
        return {name: value}
    return {f"{name}.real": np.real(value), f"{name}.imag": np.imag(value)}


def _numbered(chains: int, draws: int) -> dict[str, np.ndarray]:
    return {"chain": np.arange(chains), "draw": np.arange(draws)}


def _version() -> str:
    try:
        return version("pushforward")
    except PackageNotFoundError:
        return "unknown"
