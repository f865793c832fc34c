"""A shard of many data sets: sample it, and encode its draws as chunks of a store."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import xarray

from ...density.base import LogDensity
from ...engines.base import Engine
from ...errors import ExplainedError
from ...run.ladder import Ladder
from ...run.progress import Progress
from ...run.run import Run
from ...run.self_check import refuse_unless_reproduced
from ...run.start import start
from ...store.growing import Growing
from ..advance.goal import FixedGoal, pursue
from ..data.angles import find_wrapped_angles
from ..data.arviz import SET, add_learned, describe_run, group_data, group_draws
from ..data.drawn import name_stats, read_all_draws
from ..data.metric import DIRECTION
from ..judge.datasets import find_affected
from ..judge.moved import describe_moves
from ..judge.verdict import MIN_DRAWS
from ..rungs import GROUP, climb, count_rungs, fill_stats, outline_stats
from .contents import Selection, select_names

# Characters of a text in the group of a ladder: arrays of a store have entries of one size.
TEXT = 160
# Attributes that count what all data sets took.
COUNTED = ("warmup_gradients", "search_gradients")


class Job(NamedTuple):
    """What all shards of a call have in common.

    Attributes:
        shared: The log density, with the arrays that all data sets share.
        structure: The log density, with zeros for the other arrays, so that a worker finds the
            programs of an earlier call whose data sets were others.
        engine: The sampler, or a ladder.
        size: Number of data sets in a shard; the last one may have fewer.
        draws: Draws of each chain.
        selection: What is stored of them.
        options: Arguments of `start`, or of `climb`, in plain values.
        threads: Programs called at the same time.
        progress: Whether to show progress.
    """

    shared: LogDensity
    structure: LogDensity
    engine: Engine | Ladder
    size: int
    draws: int
    selection: Selection
    options: dict[str, Any]
    threads: int | None
    progress: bool | None


class Part(NamedTuple):
    """What a shard has of its own.

    Attributes:
        begin: Number of its first data set.
        own: The arrays in which data sets differ, in the order of leaves, along a leading axis.
        keys: Key data of each data set, shape (data sets, 2).
    """

    begin: int
    own: list[np.ndarray]
    keys: np.ndarray


class Shard(NamedTuple):
    """The draws of a shard, encoded, and what there is to say about them.

    Attributes:
        begin: Number of its first data set.
        sets: Number of its data sets.
        growing: How arrays are laid out; `None` if another shard says so.
        chunks: Its chunk of each array by key; the SHA-256 of one that is in the store already.
        attributes: Description of the run.
        affected: How many data sets are affected, by what is wrong with them.
        texts: Other findings.
    """

    begin: int
    sets: int
    growing: Growing | None
    chunks: Mapping[str, bytes | str]
    attributes: Mapping[str, Any]
    affected: Mapping[str, int]
    texts: list[str]


class _Made(NamedTuple):
    """The draws of a shard.

    Attributes:
        sites: Names of the sites with values.
        groups: Groups of the result; a data set that is alone in its shard is in them twice.
        attributes: Description of the run.
        relocated: Chains that warm-up relocated, numbered among those of the shard.
        affected: Which data sets are affected, by what is wrong with them, each of shape (sets,).
        texts: Other findings.
    """

    sites: list[str]
    groups: dict[str, xarray.Dataset]
    attributes: dict[str, Any]
    relocated: Sequence[int]
    affected: Mapping[str, np.ndarray]
    texts: list[str]


def sample_shard(job: Job, part: Part) -> Shard:
    """Sample a shard; a data set that is alone in it is sampled twice, as one of several."""
    sets = len(part.keys)
    members = np.arange(sets) if sets > 1 else np.zeros(2, int)
    models, keys = [_take_model(job, part, int(i)) for i in members], part.keys[members]
    own = part.begin + np.arange(sets)
    if isinstance(job.engine, Ladder):
        return _encode(_climb(job, job.engine, models, keys, part.begin), own, job)
    with _numbering_models(part.begin):
        run = start(
            models, job.engine, key=list(keys), threads=job.threads, progress=job.progress,
            **job.options,
        )  # fmt: skip
    with Progress(run.progress) as watch:
        pursue(run, FixedGoal(job.draws), watch)
    refuse_unless_reproduced(run)
    return _encode(_read(run, own), own, job)


def _take_model(job: Job, part: Part, index: int) -> Any:
    own = [np.asarray(array[index]) for array in part.own]
    structure = jax.tree.structure(job.structure)
    return eqx.combine(job.shared, jax.tree.unflatten(structure, own)).model


@contextmanager
def _numbering_models(begin: int) -> Iterator[None]:
    """Number models in errors by their places among all, if a shard begins at this one."""
    try:
        yield
    except ExplainedError as error:
        found = re.sub(
            r"models\[(\d+)\]", lambda place: f"models[{begin + int(place[1])}]", error.found
        )
        raise type(error)(error.where, found, error.mend) from error


def _read(run: Run, own: np.ndarray) -> _Made:
    """Read the draws of a run of the data sets with these numbers."""
    drawn = read_all_draws(run)
    groups = add_learned({**group_draws(run.family, drawn), **group_data(run.family)}, run)
    posterior, stats = groups["posterior"], name_stats(run.engine, drawn.stats)
    affected = find_affected(run.engine, stats, posterior, MIN_DRAWS)
    place = f"Of the data sets {own[0]} to {own[-1]}: "
    texts = [*map(str, find_wrapped_angles(posterior)), *(place + t for t in describe_moves(run))]
    wide = {name: _widen(run, group) for name, group in groups.items()}
    return _Made(list(drawn.values), wide, describe_run(run), run.warmup.relocated, affected, texts)


def _climb(job: Job, ladder: Ladder, models: list[Any], keys: np.ndarray, begin: int) -> _Made:
    """Draw by a ladder; a shard on which Laplace's method never fails has all statistics, too."""
    how = {"threads": job.threads, "progress": job.progress, **job.options}
    with _numbering_models(begin):
        made = climb(ladder, models, keys, job.draws, **how)
    names = outline_stats(ladder.engine, made.family.member(0))
    groups = made.group(made.drawn._replace(stats=fill_stats(made.drawn.stats, names)))
    groups[GROUP] = groups[GROUP].map(_fix_width)
    sites = list(made.drawn.values)
    return _Made(sites, groups, made.attributes, made.relocated, made.affected, [])


def _fix_width(array: xarray.DataArray) -> xarray.DataArray:
    if array.dtype.kind != "U":
        return array
    assert array.dtype.itemsize <= np.dtype(f"U{TEXT}").itemsize, "a text is too long"
    return array.astype(f"U{TEXT}")


def _encode(made: _Made, own: np.ndarray, job: Job) -> Shard:
    """Encode the draws of the data sets with these numbers."""
    groups, sets = made.groups, len(own)
    posterior = groups["posterior"]
    names = select_names(made.sites, job.selection)
    groups["posterior"] = posterior[_with_parts(posterior, names)]
    numbered = {
        name: group.isel({SET: slice(sets)}).assign_coords({SET: own})
        for name, group in groups.items()
        if SET in group.dims
    }
    growing, chunks = _make_chunks(groups | numbered, int(own[0]), job.size)
    each = job.options["chains"]
    moved = [int(own[0]) * each + chain for chain in made.relocated if chain < sets * each]
    affected = {what: int(bad[:sets].sum()) for what, bad in made.affected.items()}
    # A data set that is alone was sampled twice, with the same draws.
    members = posterior.sizes[SET]
    counts = {n: made.attributes[n] * sets // members for n in COUNTED if n in made.attributes}
    attributes = made.attributes | counts | {"relocated_chains": ", ".join(map(str, moved))}
    if GROUP in numbered:
        attributes |= count_rungs(numbered[GROUP])
    return Shard(int(own[0]), sets, growing, chunks, attributes, affected, made.texts)


def _make_chunks(
    groups: Mapping[str, xarray.Dataset], begin: int, size: int
) -> tuple[Growing, dict[str, bytes]]:
    """Lay out arrays as those of one data set, and encode the chunks of all."""
    one = {n: g.isel({SET: slice(1)}) if SET in g.dims else g for n, g in groups.items()}
    growing = Growing(one, tuple(groups), size, SET)
    chunks = growing.blank()
    growing.fill(chunks, 0, groups)
    return growing, growing.encode(chunks, begin // size)


def _with_parts(posterior: xarray.Dataset, names: Sequence[str]) -> list[str]:
    """Name the variables of sites; complex values are in two parts."""
    return [
        str(n) for n in posterior if str(n).removesuffix(".real").removesuffix(".imag") in names
    ]


def _widen(run: Run, group: xarray.Dataset) -> xarray.Dataset:
    """Pad the directions of metrics to the largest number, since that of a shard may be smaller."""
    names = [n for n, a in group.coords.items() if DIRECTION in a.dims and n != DIRECTION]
    if not names:
        return group
    width = getattr(run.warmup.tuning, "shared", run.warmup.tuning).metric.rank
    more = {DIRECTION: (0, width - group.sizes[DIRECTION])}
    padded = {
        n: group.coords[n].variable.pad(more, constant_values=float("stretch" in str(n)))
        for n in names
    }
    rest = group.drop_vars([*names, DIRECTION])
    return rest.assign_coords({**padded, DIRECTION: np.arange(width)})
