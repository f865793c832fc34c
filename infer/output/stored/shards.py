"""Thousands of data sets in a store: sampled some hundred at a time, so that memory stays flat.

Each data set has its key, so the draws do not depend on the shard that it is in, except for the
number of windows of warm-up if these may end early. The arrays of the store grow along `dataset`.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import xarray

from ...density.family import make_family
from ...engines.base import Engine
from ...errors import ExplainedError, RunError, warn
from ...models.inputs.stacked import models_in
from ...numerics.model_keys import read_keys
from ...run.choice import choose
from ...run.fingerprint import Fingerprint, fingerprint
from ...run.progress import Progress
from ...run.run import Run
from ...run.self_check import refuse_unless_reproduced
from ...run.start import start
from ...store.commits import Changes, Record, commit, forget_after, read_records, recover
from ...store.engines import describe_engine, make_engine
from ...store.files import Files, open_files
from ...store.growing import Growing
from ...store.nested import encode
from ..advance.goal import FixedGoal, Goal, pursue
from ..data.angles import find_wrapped_angles
from ..data.arviz import SET, add_learned, describe_run, group_data, group_draws
from ..data.drawn import name_stats, read_draws
from ..data.metric import DIRECTION
from ..data.provenance import fingerprint_model, list_versions
from ..judge.datasets import count_affected, report_affected
from ..judge.moved import describe_moves
from ..judge.verdict import MIN_DRAWS
from .contents import Selection, select_names
from .opened import read_data
from .run import refuse_other_runs, tell_differences
from .storing import Storing

# Number of data sets above which a stored call samples them shard by shard, and in a shard.
LIMIT, SHARD = 512, 256
# Attributes that are summed over shards.
SUMMED = (
    "warmup_gradients", "compilations", "sampling_time", "starts_seconds", "trace_seconds",
    "compile_seconds", "warmup_seconds", "sampling_seconds",
)  # fmt: skip


def are_sharded(storing: Storing | None, model: Any, goal: Goal, *others: Any) -> bool:
    """Return whether a stored call samples its data sets shard by shard.

    Args:
        storing: Where the call stores its run, if it does.
        model: The model or the models.
        goal: What the run is to reach.
        others: Other arguments of the call; a shard takes none, or a word.
    """
    if storing is None or storing.selection is None or not isinstance(goal, FixedGoal):
        return False
    is_whole = storing.selection.thin > 1 or storing.selection.include
    given = [own for own in others if own is not None and not isinstance(own, str)]
    return not (is_whole or given) and len(models_in(model)) > LIMIT


def sample_shards(
    storing: Any, model: Any, engine: Engine | None, key: Any, threads: int | None,
    progress: bool | None, **options: Any,
) -> Any:  # fmt: skip
    """Sample many data sets into a new store, and return what is stored, with its verdict.

    Args:
        storing: A `Storing`: the store, the number of draws, and what is stored of them.
        model: The models.
        engine: The sampler; by default it is chosen for a shard of them.
        key: As for `sample`.
        threads: Programs called at the same time.
        progress: Whether to show progress.
        options: Arguments of `start` in plain values.
    """
    models = models_in(model)
    chosen = engine or choose(models[:SHARD], chains=options["chains"]).engine
    family = make_family(models, jacobian=chosen.needs.jacobian)
    about = {
        "call": "sample", "shards": SHARD, "draws": storing.draws, "until": None,
        "selection": storing.selection._asdict(), "engine": describe_engine(chosen),
        "options": options, "key": read_keys(key, len(models)).tolist(),
        "made_for": fingerprint(family, chosen)._asdict(), "versions": list_versions(),
        "done": 0, "affected": {}, "texts": [], "attributes": {},
        "whole": {"model_fingerprint": fingerprint_model(family)},
    }  # fmt: skip
    about["whole"]["key"] = ", ".join(map(str, about["key"][0]))
    return _Sharded(storing.files, models, chosen, about, threads, progress).finish()


def is_sharded(where: Any) -> bool:
    """Return whether a store was written shard by shard, by any sound record."""
    records, _, _ = read_records(open_files(where))
    return any("shards" in record.about for record in records.values())


def resume_shards(
    where: Any, model: Any, engine: Engine | None, draws: int, threads: int | None,
    progress: bool | None,
) -> Any:  # fmt: skip
    """Sample the data sets that a store does not have yet, and return what is stored.

    Raises:
        RunError: More draws are asked for; or the models, the data or the engine are others.
    """
    if draws:
        mend = "Sample the models again, with more draws and another store."
        raise RunError("draws", "data sets that were sampled in shards have all draws", mend)
    files = open_files(where)
    held = files.lock()
    try:
        found = recover(files)
        record = forget_after(files, found.record)
    finally:
        held.close()
    about, models = dict(found.record.about), models_in(model)
    made = make_engine(about["engine"]) if engine is None else engine
    family = make_family(models, jacobian=made.needs.jacobian)
    refuse_other_runs(files.where, Fingerprint(**about["made_for"]), family, made)
    tell_differences(files.where, found.damaged, found.record, about["versions"])
    about["versions"] = list_versions()
    return _Sharded(files, models, made, about, threads, progress, record).finish()


class _Shard(NamedTuple):
    """The draws of a shard, as groups that readers see, and how many data sets are affected."""

    groups: Mapping[str, xarray.Dataset]
    attributes: Mapping[str, Any]
    affected: Mapping[str, int]
    texts: list[str]


class _Sharded:
    """A stored call of many data sets."""

    def __init__(
        self, files: Files, models: Sequence[Any], engine: Engine, about: dict[str, Any],
        threads: int | None, progress: bool | None, record: Record | None = None,
    ) -> None:  # fmt: skip
        self.files, self.models, self.engine = files, models, engine
        self.about, self.record = about, record
        self.threads, self.progress = threads, progress
        self.keys = np.asarray(about["key"], np.uint32)

    def finish(self) -> Any:
        """Sample the shards that are missing, and commit each while the next one is sampled."""
        held, pending = self.files.lock(), None
        try:
            with ThreadPoolExecutor(1, "store") as writer:
                for begin in range(self.about["done"], len(self.models), SHARD):
                    changes = self._gather(begin, self._sample(begin))
                    _wait(pending)
                    pending = writer.submit(self._write, changes)
                _wait(pending)
        finally:
            held.close()
        for text in self._judge():
            warn(text)
        return read_data(self.files)

    def _write(self, changes: Changes) -> None:
        self.record = commit(self.files, self.record, changes)

    def _sample(self, begin: int) -> _Shard:
        """Sample a shard; a data set that is alone in it is sampled twice, as one of several."""
        own = np.arange(begin, min(begin + SHARD, len(self.models)))
        chosen = own if len(own) > 1 else np.repeat(own, 2)
        with _numbering_models(begin):
            run = start(
                [self.models[int(i)] for i in chosen], self.engine, key=list(self.keys[chosen]),
                threads=self.threads, progress=self.progress, **self.about["options"],
            )  # fmt: skip
        with Progress(run.progress) as watch:
            pursue(run, FixedGoal(self.about["draws"]), watch)
        refuse_unless_reproduced(run)
        return _read_shard(run, own, Selection(**self.about["selection"]))

    def _gather(self, begin: int, shard: _Shard) -> Changes:
        done = begin + shard.groups["posterior"].sizes[SET]
        self._count(done, shard)
        growing = Growing(_take_one(shard.groups), tuple(shard.groups), SHARD, SET)
        chunks = growing.blank()
        growing.fill(chunks, 0, shard.groups)
        encoded, is_whole = growing.encode(chunks, begin // SHARD), done == begin + SHARD
        attributes = dict(self.about["attributes"])
        if done == len(self.models):
            attributes |= {"verdict": "\n".join(self._judge()), "verdict_not_checked": ""}
        return Changes(
            encode({}, {"done": done}),
            done,
            [encoded] if is_whole else [],
            dict(growing.fixed) | ({} if is_whole else encoded),
            growing.metadata(done, attributes),
            dict(self.about),
        )

    def _count(self, done: int, shard: _Shard) -> None:
        before = self.about["attributes"]
        summed = {n: before.get(n, 0) + shard.attributes[n] for n in SUMMED}
        moved = [own.get("relocated_chains") for own in (before, shard.attributes)]
        summed["relocated_chains"] = ", ".join(filter(None, moved))
        self.about |= {
            "done": done,
            "affected": dict(Counter(self.about["affected"]) + Counter(shard.affected)),
            "texts": [*self.about["texts"], *shard.texts],
            "attributes": {**shard.attributes, **summed, **self.about["whole"]},
        }

    def _judge(self) -> list[str]:
        found = report_affected(self.about["affected"], self.about["done"])
        return [*found, *dict.fromkeys(self.about["texts"])]


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


def _wait(pending: Future[None] | None) -> None:
    if pending is not None:
        pending.result()


def _read_shard(run: Run, own: np.ndarray, selection: Selection) -> _Shard:
    drawn = read_draws(run, run.draws(gradients=False))
    groups = add_learned({**group_draws(run.family, drawn), **group_data(run.family)}, run)
    names = select_names(list(drawn.values), selection)
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
    first = int(own[0]) * (run.chains // run.family.count)
    moved = ", ".join(str(first + chain) for chain in run.warmup.relocated)
    attributes = describe_run(run) | {"relocated_chains": moved}
    return _Shard(groups | numbered, attributes, affected, texts)


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


def _take_one(groups: Mapping[str, xarray.Dataset]) -> dict[str, xarray.Dataset]:
    return {n: g.isel({SET: slice(1)}) if SET in g.dims else g for n, g in groups.items()}
