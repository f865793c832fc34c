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
from ...run.progress import Progress
from ...run.run import Run
from ...run.self_check import refuse_unless_reproduced
from ...run.start import start
from ...store.growing import Growing
from ..advance.goal import FixedGoal, pursue
from ..data.angles import find_wrapped_angles
from ..data.arviz import SET, add_learned, describe_run, group_data, group_draws
from ..data.drawn import name_stats, read_draws
from ..data.metric import DIRECTION
from ..judge.datasets import count_affected
from ..judge.moved import describe_moves
from ..judge.verdict import MIN_DRAWS
from .contents import Selection, select_names


class Job(NamedTuple):
    """What all shards of a call have in common.

    Attributes:
        shared: The log density, with the arrays that all data sets share.
        structure: The log density, with zeros for the other arrays, so that a worker finds the
            programs of an earlier call whose data sets were others.
        engine: The sampler.
        size: Number of data sets in a shard; the last one may have fewer.
        draws: Draws of each chain.
        selection: What is stored of them.
        options: Arguments of `start` in plain values.
        threads: Programs called at the same time.
        progress: Whether to show progress.
    """

    shared: LogDensity
    structure: LogDensity
    engine: Engine
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


def sample_shard(job: Job, part: Part) -> Shard:
    """Sample a shard; a data set that is alone in it is sampled twice, as one of several."""
    sets = len(part.keys)
    members = np.arange(sets) if sets > 1 else np.zeros(2, int)
    with _numbering_models(part.begin):
        run = start(
            [_take_model(job, part, int(i)) for i in members], job.engine,
            key=list(part.keys[members]), threads=job.threads, progress=job.progress,
            **job.options,
        )  # fmt: skip
    with Progress(run.progress) as watch:
        pursue(run, FixedGoal(job.draws), watch)
    refuse_unless_reproduced(run)
    return _encode(run, part.begin + np.arange(sets), job)


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


def _encode(run: Run, own: np.ndarray, job: Job) -> Shard:
    drawn = read_draws(run, run.draws(gradients=False))
    groups = add_learned({**group_draws(run.family, drawn), **group_data(run.family)}, run)
    names = select_names(list(drawn.values), job.selection)
    posterior, stats = groups["posterior"], name_stats(run.engine, drawn.stats)
    few = {name: a[:, :, : len(own)] for name, a in stats.items()}
    judged = posterior.isel({SET: slice(len(own))})
    affected = count_affected(run.engine, few, judged, MIN_DRAWS)
    place = f"Of the data sets {own[0]} to {own[-1]}: "
    texts = [*map(str, find_wrapped_angles(posterior)), *(place + t for t in describe_moves(run))]
    groups["posterior"] = posterior[_with_parts(posterior, names)]
    numbered = {
        name: _widen(run, group.isel({SET: slice(len(own))})).assign_coords({SET: own})
        for name, group in groups.items()
        if SET in group.dims
    }
    growing, chunks = _make_chunks(groups | numbered, int(own[0]), job.size)
    first = int(own[0]) * (run.chains // run.family.count)
    moved = ", ".join(str(first + chain) for chain in run.warmup.relocated)
    attributes = describe_run(run) | {"relocated_chains": moved}
    return Shard(int(own[0]), len(own), growing, chunks, attributes, affected, texts)


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
    excess = getattr(run.warmup.tuning, "shared", run.warmup.tuning).metric.excess
    width = excess.shape[-1]
    more = {DIRECTION: (0, width - group.sizes[DIRECTION])}
    padded = {
        n: group.coords[n].variable.pad(more, constant_values=float("stretch" in str(n)))
        for n in names
    }
    rest = group.drop_vars([*names, DIRECTION])
    return rest.assign_coords({**padded, DIRECTION: np.arange(width)})
