"""Draws as ArviZ data: posterior, sample_stats, observed_data and constant_data."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray

from ..density.base import LogDensity
from ..density.family import Family
from ..models.protocol.site import Dims
from ..run.run import Run
from .angles import mark_angles
from .values import compute_observed, constrain_all
from .versions import as_arviz

# Name of the dimension of several data sets.
SET = "dataset"


def to_arviz(run: Run) -> Any:
    """Return the draws made so far in the format of the installed ArviZ.

    Groups: `posterior` (latent and derived sites), `sample_stats` (by ArviZ's names),
    `observed_data` and `constant_data`, which includes the frozen sites. The attributes record
    the engine, the view of the posterior and whether the Jacobian is included, the map of each
    site, which sites are frozen, and where the time went.

    Angles lie between -pi and pi, and have the attributes `circular=1` and `units="rad"`. Their
    plain means, R-hat and ESS are meaningless if draws lie on both sides of pi: summarize their
    cosines and sines, or give `arviz.summary` of ArviZ 0.x their names as `circ_var_names`.

    Raises:
        RunError: Some chain has no draw yet.
    """
    draws = run.draws()
    several = run.family.count > 1
    values = (
        _constrain_by_dataset(run, draws.positions)
        if several
        else constrain_all(run.density, draws.positions)
    )
    own = {
        name: _split_by_dataset(a, run.family.count) if several else a
        for name, a in draws.stats.items()
    }
    return make_arviz(run.family, values, own, describe_run(run))


def make_arviz(
    family: Family,
    values: Mapping[str, np.ndarray],
    stats: Mapping[str, np.ndarray],
    attributes: Mapping[str, Any],
) -> Any:
    """Gather values, statistics and the models' data into groups.

    Args:
        family: The log densities.
        values: Arrays of shape (chains, draws, *site), or (chains, draws, data sets, *site).
        stats: Arrays with the shape of those leading axes.
        attributes: Attributes of the result.
    """
    members = [family.member(i) for i in range(family.count)]
    sets = (SET,) if family.count > 1 else ()
    lead = ("chain", "draw", *sets)
    axes = {site.name: site.dims for site in members[0].sites}
    coords = members[0].model.labels.coords
    angles = [site.name for site in members[0].sites if site.constraint == "Circular"]
    # Drawn sites are in another group; data of the same name have their own axes.
    known = {s.name: s.dims for s in members[0].sites if s.role in ("frozen", "observed")}
    groups = {
        "posterior": mark_angles(make_dataset(axes, coords, values, lead), angles),
        "sample_stats": make_dataset({}, {}, stats, lead),
    } | {
        name: make_dataset(known, coords, own, sets)
        for name, own in _collect_data(members).items()
        if own
    }
    return as_arviz({name: g for name, g in groups.items() if g.data_vars}, attributes)


def _collect_data(members: list[LogDensity]) -> dict[str, dict[str, np.ndarray]]:
    """Sort the models' data into observed and constant, by the names of their sites."""
    observed = _stack_datasets([compute_observed(density) for density in members])
    constants = _stack_datasets([density.model.constants() for density in members])
    rest = {name: a for name, a in constants.items() if name not in observed}
    return {"observed_data": observed, "constant_data": rest}


def _stack_datasets(each: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Stack the arrays of several data sets; leave those of a single one as they are."""
    if len(each) == 1:
        return each[0]
    return {name: np.stack([own[name] for own in each]) for name in each[0]}


def _constrain_by_dataset(run: Run, positions: np.ndarray) -> dict[str, np.ndarray]:
    """Constrain the positions of each data set; shape (chains, draws, data sets, *site)."""
    parts = np.split(positions, run.family.count)
    each = [constrain_all(run.family.member(i), part) for i, part in enumerate(parts)]
    return {name: np.moveaxis(a, 0, 2) for name, a in _stack_datasets(each).items()}


def _split_by_dataset(stat: np.ndarray, count: int) -> np.ndarray:
    """Reshape (data sets * chains, draws) to (chains, draws, data sets)."""
    return np.moveaxis(stat.reshape(count, -1, stat.shape[1]), 0, 2)


def describe_run(run: Run) -> dict[str, Any]:
    """Describe a run in plain values that every file format can store."""
    seconds = {f"{name}_seconds": value for name, value in asdict(run.timing).items()}
    return {
        "inference_library": "pushforward",
        "inference_library_version": _find_version(),
        "engine": repr(run.engine),
        "engine_choice": "; ".join(run.reasons) or "as asked",
        "view": run.density.view,
        "jacobian": int(run.density.jacobian),
        "bijectors": ", ".join(f"{site.name}: {site.bijector}" for site in run.density.latent),
        "frozen": ", ".join(site.name for site in run.density.sites if site.role == "frozen"),
        "warmup_draws": run.warmup.draws,
        "warmup_planned": run.warmup.planned,
        "warmup_gradients": run.warmup.gradients,
        "relocated_chains": ", ".join(map(str, run.warmup.relocated)),
        "chains_per_program": run.plan.width,
        "native_loop": int(run.plan.is_native),
        "why_not_native": run.why_not_native or "",
        "rewritten_for_native": ", ".join(run.rewritten),
        "sampling_time": run.timing.sampling,
    } | seconds


def make_dataset(
    names: Mapping[str, Dims],
    coords: Mapping[str, np.ndarray],
    values: Mapping[str, np.ndarray],
    lead: tuple[str, ...] = ("chain", "draw"),
) -> xarray.Dataset:
    """Make a dataset of values of shape (*lead, *site), with the dims and coords of the sites."""
    arrays = {}
    for name, value in values.items():
        own = names.get(name, (None,) * (value.ndim - len(lead)))
        dims = lead + tuple(d or f"{name}_dim_{i}" for i, d in enumerate(own))
        arrays |= {part: (dims, numbers) for part, numbers in split_complex(name, value).items()}
    used = {d for dims, _ in arrays.values() for d in dims}
    known = {d: c for d, c in coords.items() if d in used}
    sizes = next(iter(values.values())).shape if values else ()
    numbered = {name: np.arange(size) for name, size in zip(lead, sizes, strict=False)}
    return xarray.Dataset(arrays, coords=known | numbered)


def split_complex(name: str, value: np.ndarray) -> dict[str, np.ndarray]:
    """Split complex values in two, since neither ArviZ's diagnostics nor netCDF support them."""
    if not np.iscomplexobj(value):
        return {name: value}
    return {f"{name}.real": np.real(value), f"{name}.imag": np.imag(value)}


@cache
def _find_version() -> str:
    try:
        return version("pushforward")
    except PackageNotFoundError:
        return "unknown"
