"""A stored run and its result: `sample` with `store=`, and what `resume` goes on with."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from ...density.family import Family, make_family
from ...density.points import make_evaluator
from ...engines.approximating import Problem
from ...engines.base import Engine
from ...errors import RunError, warn
from ...models.inputs.sharded import is_over_processes
from ...models.model import Model
from ...programs.forked import refuse_if_forked
from ...run.bound import bind_sites
from ...run.devices import plan
from ...run.fingerprint import Fingerprint, refuse_others
from ...run.placing import Devices, are_elsewhere, choose_places
from ...run.plans import share_processes
from ...run.processes import Processes
from ...run.run import Run
from ...run.self_check import refuse_unless_reproduced
from ...run.start import prepare_family
from ...run.state import Timing
from ...run.turns import call_together
from ...store.commits import Record, Recovered, forget_after, recover
from ...store.engines import make_engine
from ...store.files import open_files
from ...store.nested import decode
from ...store.recorder import Recorder
from ...store.shared import share_files
from ...store.state import read_warmup
from ..advance.goal import pursue_or_keep
from ..advance.interrupt import count_made
from ..data.arviz import describe_run
from ..data.origin import remember_run
from ..data.provenance import list_versions
from ..data.recorded import read_recorded
from ..judge.until import find_shortfall
from ..judge.verdict import judge_recorded
from .contents import Selection, make_contents
from .opened import read_data
from .recorded_goal import make_goal
from .samplers import refuse_other_settings

OTHERS = (
    "Go on with the engine, the model, the data and the precision of the stored run; for another "
    "posterior, begin a new run with another store."
)
OTHER_PARTS = (
    "Go on with the version of this library that wrote it, or begin a new run with another store. "
    "infer.open(store) reads the draws that it has."
)


def finish_sample(run: Run, recorder: Recorder) -> Any:
    """Advance a stored run until it has its draws, and return what is stored, judged.

    Args:
        run: The run.
        recorder: Commits the run to its store.
    """
    with recorder.recording(run):
        goal = make_goal(run, recorder)
        refuse_unless_reproduced(pursue_or_keep(run, goal))
        recorder.finish(run)
        data = read_data(recorder.files)
        remember_run(data, run)
        attributes = goal.conclude(run, data)
        data.attrs.update(attributes)
        found = judge_recorded(run, read_recorded(run, data))
        findings = (*found.findings, *find_shortfall(data))
        attributes |= {
            "verdict": "\n".join(findings),
            "verdict_not_checked": " ".join(found.not_checked),
        }
        data.attrs.update(attributes)
        recorder.finish(run, attributes)
    for finding in findings:
        warn(finding)
    return data


class Resumed(NamedTuple):
    """A run that goes on from a store.

    Attributes:
        run: The run, where the last sound commit left it.
        recorder: Commits it to the same store.
        about: What the store is of.
    """

    run: Run
    recorder: Recorder
    about: dict[str, Any]


def read_run(
    where: Any, model: Model | Sequence[Model], engine: Engine | None, *,
    draws: int, threads: int | None, progress: bool | None, seconds: float | None,
    devices: Devices | None = None,
) -> Resumed:  # fmt: skip
    """Read a run from a store, and check that it belongs to the model.

    Args:
        where: Path or URL of the store.
        model: The model, or the models.
        engine: The engine, if it cannot be made from the store.
        draws: Number of draws per chain to add to those that were planned.
        threads: Programs called at the same time.
        progress: Whether to show a bar.
        seconds: Seconds between commits.
        devices: Devices over which chains are spread, as for `sample`.
    """
    refuse_if_forked()
    files = open_files(where)
    with closing(share_files(files, _find_sharers(model, devices)).lock()):
        found = recover(files)
        about = dict(found.record.about)
        if draws and about["call"] != "sample":
            what = f"the store holds a run of infer.{about['call']}, which makes no draws"
            raise RunError("draws", what, "Leave it out; a fit has a method `sample`.")
        made = make_engine(about["engine"]) if engine is None else engine
        run = _read(found, files.where, model, made, threads, progress, devices)
        with explaining_parts(files.where, about):
            chosen = None if about["selection"] is None else Selection(**about["selection"])
        about |= _add_draws(about, run, draws)
        tell_differences(files.where, found.damaged, found.record, about["versions"])
        about["versions"] = list_versions()
        # Others may still be reading.
        processes = run.places.processes
        processes.meet()
        committed = forget_after(share_files(files, processes), found.record)
    contents = None if chosen is None else make_contents(run, chosen)
    recorder = Recorder(files, run, about, contents, describe_run, committed, seconds)
    return Resumed(run, recorder, about)


def _find_sharers(model: Any, devices: Devices | None) -> Processes:
    """Return the processes that are about to read a store, and go on with it together."""
    if jax.process_count() == 1:
        return Processes()
    shared = jax.tree.leaves(make_family(model, jacobian=False).shared)
    is_shared = are_elsewhere(devices) or any(map(is_over_processes, shared))
    return Processes(jax.process_count(), jax.process_index()) if is_shared else Processes()


def _add_draws(about: dict[str, Any], run: Run, draws: int) -> dict[str, Any]:
    """Return the new goal of a run: draws are added to those planned, or replace a target."""
    if about.get("until") is None:
        return {"draws": about["draws"] + draws}
    return {"draws": count_made(run) + draws, "until": None} if draws else {}


def _read(
    found: Recovered, where: str, model: Any, engine: Engine, threads: int | None,
    progress: bool | None, devices: Devices | None,
) -> Run:  # fmt: skip
    """Make the run of a commit; a model, an engine or data of another run are refused."""
    about = found.record.about
    members = make_family(model, jacobian=engine.needs.jacobian)
    engine = bind_sites(engine, members)
    family = prepare_family(members, engine)
    with explaining_parts(where, about):
        made_for, timing = Fingerprint(**about["made_for"]), Timing(**about["timing"])
        chains, width, is_native = (
            about["chains"],
            about["plan"]["width"],
            about["plan"]["is_native"],
        )
        known = tuple(tuple(Problem(*p) for p in each) for each in about.get("problems", ()))
        key, why, reasons = about["key"], about["why_not_native"], tuple(about["reasons"])
    refuse_other_runs(where, made_for, family, engine)
    refuse_other_settings(where, about["engine"], engine)
    places = choose_places(family, devices)
    how, at = share_processes(plan(chains, width, threads, places), places)
    how = how._replace(is_native=is_native)
    how = call_together(how, chains, family.count)
    arrays, numbers = decode(found.state)
    with explaining_parts(where, about):
        warmup = read_warmup(arrays, numbers, family, engine, chains, how.chains)
    return Run(
        family, engine, how, warmup, timing, why,
        reasons=reasons, problems=known, progress=progress,
        evaluate=make_evaluator(family, np.zeros(2, np.uint32), ()),
        key=None if key is None else np.asarray(key, np.uint32), places=at,
    )  # fmt: skip


@contextmanager
def explaining_parts(where: str, about: Mapping[str, Any]) -> Iterator[None]:
    """Explain errors about parts of a store; name the version that wrote it if it is another."""
    try:
        yield
    except (KeyError, TypeError, RunError) as error:
        found, mend = f"it has other parts than are read here: {error!r}", OTHER_PARTS
        is_explained = isinstance(error, RunError)
        if is_explained:
            found, mend = f"{error.where}: {error.found}", error.mend
        version = about["versions"].get("pushforward", "unknown")
        if version != list_versions()["pushforward"]:
            found = f"another version of this library wrote it ({version}): {found}"
            mend = f"{mend} {OTHER_PARTS}" if is_explained else OTHER_PARTS
        raise RunError(where, found, mend) from error


def refuse_other_runs(where: str, made_for: Fingerprint, family: Family, engine: Engine) -> None:
    """Raise if a store has a run of another engine, another model or other data."""
    try:
        refuse_others(made_for, family, engine)
    except RunError as error:
        raise RunError(where, error.found, OTHERS) from error


def tell_differences(
    where: str, damaged: Sequence[str], record: Record, versions: dict[str, str]
) -> None:
    """Warn of damaged files, and of versions other than those that wrote the store."""
    if damaged:
        warn(
            f"{where}: damaged or missing: {', '.join(damaged)}. The run goes on from commit "
            f"{record.commit}, with {len(record.blocks)} whole blocks; what follows is computed "
            "again.",
            UserWarning,
        )
    here = list_versions()
    other = [f"{n} {v} (here {here[n]})" for n, v in versions.items() if here.get(n) != v]
    if other:
        warn(
            f"{where}: it was written with {', '.join(other)}. Draws from here on may differ in "
            "their last digits from those of a run that was never stopped.",
            UserWarning,
        )
