"""Draws as ArviZ data: posterior, sample_stats, observed_data and constant_data."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import xarray

from ...density.family import Family
from ...models.protocol.site import Dims
from ...run.places import describe_work
from ...run.run import Run
from .angles import mark_angles
from .centering import describe_centering
from .drawn import Drawn, read_all_draws, read_warmup
from .flat_site import GROUP, separate
from .metric import describe_metric, name_metric
from .model_data import collect_data
from .origin import refuse_unless_run
from .provenance import describe_origin
from .versions import as_arviz

# Name of the dimension of several data sets.
SET = "dataset"


def to_arviz(run: Run) -> Any:
    """Return the draws that a run has made so far, in the format of the installed ArviZ.

    Groups: `posterior` (latent and derived sites), `sample_stats` (by ArviZ's names, and the
    inverse metric; see `describe_metric`), `observed_data` and `constant_data`, which includes the
    frozen sites. The attributes record the engine, the view of the posterior and whether the
    Jacobian is included, the map of each site, which sites are frozen, where the time went, and
    the origin: versions, device, key and a fingerprint of the model.

    Angles lie between -pi and pi, and have the attributes `circular=1` and `units="rad"`. Their
    plain means, R-hat and ESS are meaningless if draws lie on both sides of pi: summarize their
    cosines and sines, or give `arviz.summary` of ArviZ 0.x their names as `circ_var_names`.

    Raises:
        RunError: Some chain has no draw yet.
    """
    refuse_unless_run(run)
    return make_arviz(run.family, read_all_draws(run), describe_run(run), run)


def make_arviz(
    family: Family, drawn: Drawn, attributes: Mapping[str, Any], run: Run | None = None
) -> Any:
    """Gather values, statistics and the models' data into groups.

    Args:
        family: The log densities.
        drawn: Values and statistics of the draws.
        attributes: Attributes of the result.
        run: Where the draws come from, if they come from a run.
    """
    groups = {**group_draws(family, drawn), **group_data(family)}
    return as_arviz(groups if run is None else add_learned(groups, run), attributes)


def group_draws(family: Family, drawn: Drawn, prefix: str = "") -> dict[str, xarray.Dataset]:
    """Gather values and statistics of draws into groups.

    Args:
        family: The log densities.
        drawn: Values and statistics.
        prefix: What the names of the groups begin with.
    """
    density, sets = family.member(0), (SET,) if family.count > 1 else ()
    lead = ("chain", "draw", *sets)
    axes = {site.name: site.dims for site in density.sites}
    coords = density.model.labels.coords
    angles = [site.name for site in density.sites if site.constraint == "Circular"]
    values, flat = separate(drawn.values)
    groups = {
        f"{prefix}posterior": mark_angles(make_dataset(axes, coords, values, lead), angles),
        f"{prefix}sample_stats": make_dataset({}, {}, drawn.stats, lead),
    }
    own = {} if prefix else {GROUP: make_dataset(axes, coords, flat, lead)}
    return {name: group for name, group in {**groups, **own}.items() if group.data_vars}


def group_data(family: Family) -> dict[str, xarray.Dataset]:
    """Gather the models' data into groups."""
    density, sets = family.member(0), (SET,) if family.count > 1 else ()
    coords = density.model.labels.coords
    # Drawn sites are in another group; data of the same name have their own axes.
    known = dict(density.model.program.data_dims())
    known |= {s.name: s.dims for s in density.sites if s.role in ("frozen", "observed")}
    each = collect_data(family).items()
    return {name: make_dataset(known, coords, own, sets) for name, own in each if own}


def add_learned(groups: dict[str, xarray.Dataset], run: Run) -> dict[str, xarray.Dataset]:
    """Add to groups what warm-up learned, and its draws if the run was asked to keep them."""
    sets, stats = (SET,) if run.family.count > 1 else (), groups.get("sample_stats")
    own = dict(describe_metric(run, sets).coords) | dict(describe_centering(run, sets).coords)
    learned = None if stats is None else stats.assign_coords(own)
    warmup = read_warmup(run)
    return (
        groups
        | ({} if learned is None else {"sample_stats": learned})
        | ({} if warmup is None else group_draws(run.family, warmup, "warmup_"))
    )


def describe_run(run: Run) -> dict[str, Any]:
    """Describe a run in plain values that every file format can store."""
    seconds = {f"{name}_seconds": value for name, value in asdict(run.timing).items()}
    return (
        describe_origin(run)
        | {
            "engine": repr(run.engine),
            "engine_choice": "; ".join(run.reasons) or "as asked",
            "metric": name_metric(run),
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
        }
        | seconds
        | describe_work(run.plan, run.places)
    )


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
