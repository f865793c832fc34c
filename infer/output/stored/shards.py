"""Thousands of data sets in a store: sampled some hundred at a time, so that memory stays flat.

Each data set has its key, so the draws do not depend on the shard that it is in, except for the
number of windows of warm-up if these may end early. The arrays of the store grow along `dataset`.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import jax
import numpy as np

from ...density.family import Family, make_family
from ...engines.base import Engine
from ...errors import RunError, warn
from ...models.inputs.stacked import models_in
from ...numerics.model_keys import read_keys
from ...run.choice import choose_sampler
from ...run.fingerprint import Fingerprint, fingerprint
from ...run.ladder import Ladder
from ...run.start import prepare_family
from ...store.commits import Changes, Record, commit, forget_after, read_records, recover
from ...store.files import Files, open_files
from ...store.growing import Growing
from ...store.nested import encode
from ..advance.goal import FixedGoal, Goal
from ..data.provenance import fingerprint_model, list_versions
from ..judge.datasets import report_affected
from .cluster import Cluster, refuse_unless_client, refuse_unlike_shards
from .contents import Selection
from .opened import read_data
from .run import explaining_parts, refuse_other_runs, tell_differences
from .samplers import describe_sampler, engine_of, make_sampler
from .shard import Job, Part, Shard, sample_shard
from .storing import Storing

# Number of data sets above which a stored call samples them shard by shard, and in a shard.
LIMIT, SHARD = 512, 256
# In a shard of fewer data sets, which only a cluster has.
SMALL_SHARD = 16
# Attributes that are summed over shards.
SUMMED = (
    "warmup_gradients", "compilations", "sampling_time", "starts_seconds", "trace_seconds",
    "compile_seconds", "warmup_seconds", "sampling_seconds",
    # Only ladders have these.
    "search_gradients", "laplace_data_sets", "sampled_data_sets",
)  # fmt: skip
# Attributes of which a call has the largest of its shards.
LARGEST = ("warmup_draws", "warmup_planned")


def are_sharded(
    storing: Storing | None, model: Any, goal: Goal, client: Any, others: dict[str, Any]
) -> bool:
    """Return whether a call samples its data sets shard by shard.

    Args:
        storing: Where the call stores its run, if it does.
        model: The model or the models.
        goal: What the run is to reach.
        client: A client of a cluster, which samples nothing but shards.
        others: Other arguments of the call by name; a shard takes none, or a word.

    Raises:
        RunError: There is a client, and it or the call cannot be used for shards.
    """
    given = [n for n, own in others.items() if own is not None and not isinstance(own, str)]
    if storing is not None and storing.selection is not None:
        given += ["thin"] * (storing.selection.thin > 1)
        given += ["include"] * bool(storing.selection.include)
    given += ["until"] * (not isinstance(goal, FixedGoal))
    sets = len(models_in(model))
    refuse_unsuited_client(client, storing, sets, given)
    return client is not None or (storing is not None and not given and sets > LIMIT)


def refuse_unsuited_client(
    client: Any, storing: Storing | None, sets: int, given: Sequence[str] = ()
) -> None:
    """Raise if there is a client, and it or the call cannot be used for shards.

    Args:
        client: A client of a cluster, if there is one.
        storing: Where the call stores its run, if it does.
        sets: Number of data sets.
        given: Names of arguments that a cluster does not take.

    Raises:
        RunError: It cannot.
    """
    if client is not None:
        refuse_unless_client(client)
        refuse_unlike_shards(storing is not None, sets, given)


def sample_shards(
    storing: Any, model: Any, engine: Engine | Ladder | None, key: Any, threads: int | None,
    progress: bool | None, client: Any, **options: Any,
) -> Any:  # fmt: skip
    """Sample many data sets into a new store, and return what is stored, with its verdict.

    Args:
        storing: A `Storing`: the store, the number of draws, and what is stored of them.
        model: The models.
        engine: The sampler or a ladder; by default a sampler is chosen for a shard of them.
        key: As for `sample`.
        threads: Programs called at the same time.
        progress: Whether to show progress.
        client: A client of the cluster that samples them, if this process does not.
        options: Arguments of `start`, or of `climb`, in plain values.
    """
    models = models_in(model)
    sampler = engine or choose_sampler(models[:SHARD], options["chains"])[0]
    chosen = engine_of(sampler)
    family = make_family(models, jacobian=chosen.needs.jacobian)
    if client is not None:
        # What a worker would refuse.
        prepare_family(make_family(models[:SHARD], jacobian=chosen.needs.jacobian), chosen)
    keys = read_keys(key, len(models))
    about = {
        "call": "sample", "shards": _choose_size(len(models), client),
        "draws": storing.draws, "until": None,
        "selection": storing.selection._asdict(), **describe_sampler(sampler),
        "options": options, "key": _encode_keys(keys),
        "made_for": fingerprint(family, chosen)._asdict(), "versions": list_versions(),
        "done": 0, "affected": {}, "texts": [], "attributes": {},
        "whole": {"model_fingerprint": fingerprint_model(family)},
    }  # fmt: skip
    about["whole"]["key"] = ", ".join(map(str, keys[0].tolist()))
    return _Sharded(storing.files, family, sampler, about, threads, progress, client).finish()


def _choose_size(sets: int, client: Any) -> int:
    """Choose the number of data sets in a shard: a cluster shares out few of them as well."""
    return SMALL_SHARD if client is not None and sets <= LIMIT else SHARD


def is_sharded(where: Any) -> bool:
    """Return whether a store was written shard by shard, by any sound record."""
    records, _, _ = read_records(open_files(where))
    return any("shards" in record.about for record in records.values())


def resume_shards(
    where: Any, model: Any, engine: Engine | Ladder | None, draws: int, threads: int | None,
    progress: bool | None, client: Any,
) -> Any:  # fmt: skip
    """Sample the data sets that a store does not have yet, and return what is stored.

    Raises:
        RunError: More draws are asked for; or the models, the data or the engine are others; or
            the client cannot be used.
    """
    if draws:
        mend = "Sample the models again, with more draws and another store."
        raise RunError("draws", "data sets that were sampled in shards have all draws", mend)
    if client is not None:
        refuse_unless_client(client)
    files = open_files(where)
    held = files.lock()
    try:
        found = recover(files)
        record = forget_after(files, found.record)
    finally:
        held.close()
    about, models = dict(found.record.about), models_in(model)
    sampler = make_sampler(files.where, about, engine)
    chosen = engine_of(sampler)
    family = make_family(models, jacobian=chosen.needs.jacobian)
    with explaining_parts(files.where, about):
        made_for = Fingerprint(**about["made_for"])
    refuse_other_runs(files.where, made_for, family, chosen)
    tell_differences(files.where, found.damaged, found.record, about["versions"])
    about["versions"] = list_versions()
    return _Sharded(files, family, sampler, about, threads, progress, client, record).finish()


class _Sharded:
    """A stored call of many data sets."""

    def __init__(
        self, files: Files, family: Family, engine: Engine | Ladder, about: dict[str, Any],
        threads: int | None, progress: bool | None, client: Any, record: Record | None = None,
    ) -> None:  # fmt: skip
        self.files, self.family, self.about = files, family, about
        self.record = record
        self.growing: Growing | None = None
        self.job = Job(
            family.shared, jax.tree.map(lambda _: 0, family.own), engine, about["shards"],
            about["draws"], Selection(**about["selection"]), about["options"], threads, progress,
        )  # fmt: skip
        self.cluster = None if client is None else Cluster(client, files, self.job, about["done"])

    def finish(self) -> Any:
        """Sample the shards that are missing, and commit each while the next ones are sampled."""
        held, pending = self.files.lock(), None
        try:
            with ThreadPoolExecutor(1, "store") as writer, closing(self._sample()) as made:
                for shards in made:
                    changes = self._gather(shards)
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

    def _sample(self) -> Any:
        """Yield shards in order, as they are sampled."""
        if self.cluster is None:
            return ([self._sample_here(part)] for part in self._list_parts())
        return self.cluster.sample(self._list_parts(), self.family.count)

    def _sample_here(self, part: Part) -> Shard:
        return sample_shard(self.job, part)

    def _list_parts(self) -> Iterator[Part]:
        keys, size = _decode_keys(self.about["key"]), self.job.size
        own = jax.tree.leaves(self.family.own)
        for begin in range(self.about["done"], self.family.count, size):
            rows = slice(begin, begin + size)
            yield Part(begin, [array[rows] for array in own], keys[rows])

    def _gather(self, shards: Sequence[Shard]) -> Changes:
        for shard in shards:
            self._count(shard)
        self.growing = self.growing or shards[0].growing
        assert self.growing is not None
        done, whole = self.about["done"], [s for s in shards if s.sets == self.job.size]
        attributes = dict(self.about["attributes"])
        if done == self.family.count:
            attributes |= {"verdict": "\n".join(self._judge()), "verdict_not_checked": ""}
        return Changes(
            encode({}, {"done": done}),
            done,
            [shard.chunks for shard in whole],
            dict(self.growing.fixed) | _read_bytes(shards[len(whole) :]),
            self.growing.metadata(done, attributes),
            dict(self.about),
        )

    def _count(self, shard: Shard) -> None:
        before = self.about["attributes"]
        own = shard.attributes
        summed = {n: before.get(n, 0) + own[n] for n in SUMMED if n in own}
        largest = {n: max(before.get(n, 0), own[n]) for n in LARGEST}
        # As in memory, a ladder describes the runs of its sampler, once there is one.
        is_idle = own.get("sampled_data_sets") == 0 and before.get("sampled_data_sets")
        moved = [each.get("relocated_chains") for each in (before, own)]
        summed["relocated_chains"] = ", ".join(filter(None, moved))
        self.about |= {
            "done": shard.begin + shard.sets,
            "affected": self.about["affected"]
            | {
                what: self.about["affected"].get(what, 0) + count
                for what, count in shard.affected.items()
            },
            "texts": [*self.about["texts"], *shard.texts],
            "attributes": {
                **(before if is_idle else own),
                **summed,
                **largest,
                **self.about["whole"],
            },
        }

    def _judge(self) -> list[str]:
        # Laplace's method has passed tests of its own.
        judged = self.about["attributes"].get("sampled_data_sets", self.about["done"])
        found = report_affected(self.about["affected"], judged)
        return [*found, *dict.fromkeys(self.about["texts"])]


def _encode_keys(keys: np.ndarray) -> str:
    """Encode key data as text, since each commit writes that of all data sets.

    For 10^6 of them JSON takes 0.03 s of processor time, and 0.26 s for lists of numbers.
    """
    return b64encode(keys.astype("<u4").tobytes()).decode()


def _decode_keys(encoded: str | list[list[int]]) -> np.ndarray:
    """Decode key data; older stores have lists of numbers."""
    if isinstance(encoded, list):
        return np.asarray(encoded, np.uint32)
    return np.frombuffer(b64decode(encoded), "<u4").astype(np.uint32).reshape(-1, 2)


def _read_bytes(shards: Iterable[Shard]) -> dict[str, bytes]:
    """Return the chunks of a shard with fewer data sets, which is not in the store yet."""
    return {k: data for own in shards for k, data in own.chunks.items() if isinstance(data, bytes)}


def _wait(pending: Future[None] | None) -> None:
    if pending is not None:
        pending.result()
