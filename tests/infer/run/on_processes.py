"""Print draws of runs on several processes, as JSON; start it once for each of them.

python -m tests.infer.run.on_processes PORT INDEX COUNT PART [STORE [MORE]]
"""

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import jax

import infer
from infer.run import collect, pace, processes
from infer.store import files, recorder
from infer.store.shared import is_chunk

from . import on_devices

DRAWS = 150
# Exchanges or files after which a process kills itself, or cannot write.
FATAL = 5
# A run whose rows are divided.
ROWS: dict[str, Any] = {"chains": 2, "draws": 60}


def begin() -> tuple[infer.Model, dict[str, Any]]:
    """Make a model whose chains are spread over all devices, with the arguments of its run."""
    model = infer.model(on_devices.logistic, x=on_devices.X, y=on_devices.Y)
    return model, {"devices": jax.devices()}


def sample(model: infer.Model, **how: Any) -> Any:
    """Sample a model."""
    given = {"chains": 5, "warmup": 100, "draws": DRAWS, "key": 1, "progress": False}
    return infer.sample(model, infer.NUTS(), **given | how)


def describe(made: Any) -> dict[str, Any]:
    """Return draws and verdict of a result."""
    stats = {n: made.sample_stats[n].values.tolist() for n in ("lp", "step_size", "n_steps")}
    return {
        "draws": made.posterior["slope"].values.tolist(), "stats": stats,
        "verdict": made.attrs["verdict"],
    }  # fmt: skip


def chains(store: str | None, **more: Any) -> dict[str, Any]:
    """Spread chains over processes."""
    model, how = begin()
    return describe(sample(model, **how, **more, store=store))


def resumed(store: str | None) -> dict[str, Any]:
    """Go on with a run whose chains were spread over processes."""
    model, how = begin()
    return describe(infer.resume(store, model, progress=False, **how))


def killed(store: str | None) -> dict[str, Any]:
    """Spread chains over processes, the last of which is killed."""
    met, exchange = [], processes.Processes.exchange

    def exchange_or_die(self: Any, *given: Any) -> None:
        met.append(1)
        if self.index == self.count - 1 and len(met) == FATAL:
            os.kill(os.getpid(), signal.SIGKILL)
        exchange(self, *given)

    processes.Processes.exchange = exchange_or_die
    return chains(store)


def commit_often() -> None:
    """Let processes exchange and commit after a few draws, and blocks end after a few ticks."""
    pace.EXCHANGE_SECONDS = collect.BLOCK_SECONDS = 0.001
    recorder.LARGEST_SHARE = 1.0


def noted(store: str | None) -> dict[str, Any]:
    """Spread chains over processes, and note which files this one writes."""
    wrote, write = [], files.LocalFiles.write

    def note(self: Any, *groups: Any) -> None:
        wrote.extend(key for group in groups for key in group)
        write(self, *groups)

    files.LocalFiles.write = note
    return chains(store) | {"wrote": wrote}


def killed_in_commit(store: str, who: str, step: str) -> dict[str, Any]:
    """Spread chains over processes, one of which is killed within a commit.

    Args:
        store: Path of the store.
        who: Number of that process.
        step: What the key of the file looks like after which it is killed.
    """
    replace, wrote, folder = os.replace, [], Path(store)

    def replace_and_die(beside: Path, path: Path) -> None:
        replace(beside, path)
        if re.search(step, str(path.relative_to(folder))) and (folder / "posterior").exists():
            wrote.append(path)
        if jax.process_index() == int(who) and len(wrote) == FATAL:
            os.kill(os.getpid(), signal.SIGKILL)

    commit_often()
    os.replace = replace_and_die
    return chains(store, commit_seconds=0.0)


def interrupted(store: str, who: str) -> dict[str, Any]:
    """Spread chains over processes, one of which is interrupted when there are draws."""
    absorb, sampled = collect.Group.absorb, []

    def absorb_and_interrupt(self: Any, *given: Any) -> int:
        fresh = absorb(self, *given)
        if (Path(store) / "posterior").exists() and jax.process_index() == int(who):
            sampled.append(fresh)
            if len(sampled) == FATAL:
                os.kill(os.getpid(), signal.SIGINT)
        return fresh

    commit_often()
    collect.Group.absorb = absorb_and_interrupt
    return chains(store, commit_seconds=0.0)


def full(store: str) -> dict[str, Any]:
    """Spread chains over processes, the last of which cannot write chunks any more at some time."""
    write, wrote = files._write_durably, []

    def fail(path: Path, data: bytes) -> None:
        if is_chunk(str(path)) and jax.process_index() == jax.process_count() - 1:
            wrote.append(path)
            if len(wrote) > FATAL:
                raise OSError(28, "No space left on device")
        write(path, data)

    commit_often()
    files._write_durably = fail
    return {"error": on_devices.message_of(lambda: chains(store, commit_seconds=0.0))}


def rows(store: str | None) -> dict[str, Any]:
    """Divide rows over processes."""
    run = on_devices.begin(on_devices.divided(), None)
    made = sample(on_devices.divided(), **ROWS)
    return describe(made) | {
        "places": run.plan.places,
        "run": on_devices.draws_of(run),
        "groups": sorted(map(str, made.keys() if hasattr(made, "keys") else made.groups)),
    }


def rows_stored(store: str | None) -> dict[str, Any]:
    """Divide rows over processes, and store the run."""
    return describe(sample(on_devices.divided(), **ROWS, store=store, commit_seconds=0.0))


def modes_stored(store: str | None) -> dict[str, Any]:
    """Search for the mode on rows that are divided over processes, store it, and go on."""
    model = on_devices.divided()
    found = infer.maximize(model, infer.MAP("unconstrained"), starts=2, store=store)
    again = infer.resume(store, model)
    return {"mode": found.values["slope"].tolist(), "again": again.values["slope"].tolist()}


def rows_killed(store: str | None) -> dict[str, Any]:
    """Divide rows over processes, the last of which is killed when some draws are committed."""
    after_block = recorder.Recorder.after_block
    commit_often()

    def commit_or_die(self: Any, run: infer.Run) -> None:
        after_block(self, run)
        if jax.process_index() and self.record is not None and self.record.draws > 10:
            os.kill(os.getpid(), signal.SIGKILL)

    recorder.Recorder.after_block = commit_or_die
    return rows_stored(store)


def rows_resumed(store: str | None) -> dict[str, Any]:
    """Go on with a run whose rows were divided over processes."""
    return describe(infer.resume(store, on_devices.divided(), progress=False))


def mistakes(store: str | None) -> dict[str, Any]:
    """Collect the messages of errors."""
    model, how = begin()
    other = model.with_data(x=on_devices.X, y=1 - on_devices.Y)
    mine = (model, other)[jax.process_index()]
    first = [device for device in jax.devices() if device.process_index == 0]
    message = on_devices.message_of
    alone = infer.start(model, infer.NUTS(), progress=False, **how)
    return {
        "other data": message(lambda: sample(mine, **how)),
        "one process": message(lambda: sample(model, devices=first)),
        "until": message(lambda: sample(model, draws=None, until=infer.Until(seconds=9), **how)),
        "background": message(lambda: infer.sample_in_background(alone, 10)),
    }


PARTS = {
    own.__name__: own
    for own in (
        chains, resumed, killed, noted, killed_in_commit, interrupted, full, rows, rows_stored,
        rows_killed, rows_resumed, modes_stored, mistakes,
    )
}  # fmt: skip

if __name__ == "__main__":
    port, index, count, part, *store = sys.argv[1:]
    jax.config.update("jax_enable_x64", True)
    if int(count) > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"127.0.0.1:{port}", int(count), int(index))
    print(json.dumps(PARTS[part](*store or [None])))
