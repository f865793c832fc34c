"""Open a store that is finished or being written: ArviZ data that are read when they are used."""

import time
from typing import Any

import numpy as np
import xarray

from ...calls import check_arguments
from ...engines.base import Engine
from ...errors import RunError
from ...store.commits import FOLDER, Record, read_records, read_sound
from ...store.engines import ENGINES, make_engine
from ...store.files import Files, open_files
from ...store.growing import METADATA, refuse_without_zarr
from ..data.arviz import SET
from ..data.recorded import WITHOUT_SITES, thin_draws
from ..data.versions import as_arviz, groups_of
from ..judge.verdict import Verdict, judge_draws
from ..rungs import GROUP, LAPLACE

# How often metadata are read again that do not fit the newest record: a writer replaces both.
TRIES, WAIT_SECONDS = 20, 0.05


@check_arguments("infer.open")
def open(store: Any) -> Any:  # noqa: A001
    """Open a stored run of `infer.sample`, whether it is finished or still being written.

    Args:
        store: Path or URL of the store.

    Returns:
        ArviZ data whose arrays are read when they are used. They hold the draws up to the last
        commit; open the store again for newer ones. The attribute `verdict` judges these draws, and
        `verdict_not_checked` says what was not looked for: a run that has not ended is judged
        without its model, and very long chains by evenly spaced draws.

    Raises:
        RunError: There is no such store, it is of another version of the format, its metadata are
            damaged, it holds a fit or a search for a mode, or has no draw yet.
        ValueError: A chunk that is read is damaged; Zarr compares its CRC32C. `infer.resume` names
            every file that is damaged.
    """
    refuse_without_zarr()
    files = open_files(store)
    record = read_newest(files)
    if record.about["call"] != "sample":
        raise RunError(
            files.where,
            f"it holds a run of infer.{record.about['call']}, which has no draws",
            "infer.resume(path, model) finishes it, and returns its result.",
        )
    if not record.draws:
        raise RunError(files.where, "some chains have no draws yet", "Try again later.")
    data = read_data(files)
    # A run that has ended was judged with its model.
    if "verdict" not in data.attrs and record.about["engine"]["name"] in ENGINES:
        engine = make_engine(record.about["engine"] | {"missing": []})
        found = judge_stored(_select_sampled(data) if "ladder" in record.about else data, engine)
        data.attrs["verdict"] = "\n".join(found.findings)
        data.attrs["verdict_not_checked"] = " ".join(found.not_checked)
    return data


def read_data(files: Files) -> Any:
    """Read the groups of a store lazily, as the installed ArviZ has them."""
    groups: dict[str, Any] = dict(xarray.open_groups(files.where, engine="zarr"))
    root = groups.pop("/")
    return as_arviz({name.lstrip("/"): group for name, group in groups.items()}, root.attrs)


def read_newest(files: Files) -> Record:
    """Return the newest record, after comparing the metadata that readers open with it.

    Raises:
        RunError: There is no store, or the record or the metadata are damaged.
    """
    damaged: list[str] = []
    for _ in range(TRIES):
        records, intents, damaged = read_records(files)
        if records and not damaged:
            newest = records[max(records)]
            known = [newest, *intents.values()]
            bad = [
                key
                for key in newest.files
                if key.endswith(METADATA)
                and read_sound(files, key, [r.files[key] for r in known if key in r.files]) is None
            ]
            if not bad:
                return newest
            damaged = bad
        time.sleep(WAIT_SECONDS)
    raise RunError(
        files.where,
        f"{', '.join(damaged) or FOLDER} are damaged or missing",
        "infer.resume(path, model) writes them again, from the last sound commit.",
    )


def _select_sampled(data: Any) -> Any:
    """Select the data sets that a ladder has sampled; Laplace's method has its own tests."""
    groups = groups_of(data)
    own = np.flatnonzero(groups[GROUP]["rung"].to_numpy() != LAPLACE)
    kept = {name: group.isel({SET: own}) for name, group in groups.items() if SET in group.dims}
    return as_arviz(groups | kept, data.attrs)


def judge_stored(data: Any, engine: Engine) -> Verdict:
    """Judge the draws of a store without their model."""
    thinned, limits = thin_draws(data)
    if not thinned["posterior"].sizes.get(SET, 1):
        return Verdict((), limits)
    without = f"{WITHOUT_SITES}, which takes the model: infer.verdict(infer.resume(path, model))."
    return Verdict(judge_draws(engine, thinned).findings, (*limits, without))
