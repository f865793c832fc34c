"""`resume`: from a store to the result of the call that wrote it."""

from collections.abc import Sequence
from typing import Any

from ..calls import check_arguments
from ..counts import as_whole
from ..engines.base import Engine
from ..errors import RunError
from ..models.inputs.stacked import are_several
from ..models.model import Model
from ..run.ladder import Ladder
from ..run.placing import Devices
from .advance.interrupt import keep_run
from .fit import finish_fit
from .maximize import finish_maximize
from .stored.run import finish_sample, read_run
from .stored.shards import is_sharded, resume_shards


@check_arguments("infer.resume")
def resume(
    store: Any,
    model: Model | Sequence[Model],
    engine: Engine | Ladder | None = None,
    *,
    draws: int = 0,
    threads: int | None = None,
    progress: bool | None = None,
    commit_seconds: float | None = None,
    devices: Devices | None = None,
    client: Any = None,
) -> Any:
    """Go on with a stored run where its last commit left it, in warm-up or in sampling.

    The result is that of a run that was never stopped, bit for bit, on the same machine and with
    the same versions; the number of threads does not matter. Every file of the store is compared
    with its SHA-256 first. If one is damaged or missing, a warning names it, and the run goes on
    from the newest commit before the damage.

    Args:
        store: Path or URL of the store.
        model: The model that was stored, or the models, with the same data. Models are Python
            code, and nothing that a store holds is ever run, so it is given again.
        engine: The engine, if it is not one of this library's or has settings that are Python
            objects, such as an optimizer; others are made from the store. Its settings must be
            those of the run.
        draws: Draws per chain to add to those that were planned; for a run with `until=`, to
            those that it has, in place of the target.
        threads: Programs called at the same time on a CPU; does not change the draws.
        progress: Whether to show a bar; by default if standard error is a terminal.
        commit_seconds: Seconds between commits; see `sample`.
        devices: Devices over which chains are spread, as for `sample`.
        client: A `dask.distributed.Client`, for a store of many data sets; see `sample`.

    Returns:
        What the call returns that began the run: that of `sample`, `fit` or `maximize`.

    Warns:
        UserWarning: Files are damaged, or the versions are not those that wrote the store.

    Raises:
        RunError: There is no such store, it is of another version of the format, no commit is
            sound, another process writes to it, it holds a fit or a search and `draws` is given, or
            the model, the data, the engine or the precision is another; the message names what
            differs.
    """
    draws = as_whole("draws", draws, 0)
    if is_sharded(store):
        return resume_shards(store, model, engine, draws, threads, progress, client)
    if client is not None:
        found = "the store has no data sets that were shared out"
        raise RunError("client", found, "Leave out client=; this process goes on with the run.")
    if isinstance(engine, Ladder):
        found = "it is a ladder, and the store holds a run of an engine"
        raise RunError("engine", found, "Leave it out: the store has its settings.")
    found = read_run(
        store, model, engine, draws=draws, threads=threads, progress=progress,
        seconds=commit_seconds, devices=devices,
    )  # fmt: skip
    several, call = are_several(model), found.about["call"]
    run, recorder = found.run, found.recorder
    if call == "sample":
        return keep_run("infer.resume", run, lambda: finish_sample(run, recorder))
    finish = finish_fit if call == "fit" else finish_maximize
    return keep_run("infer.resume", run, lambda: finish(run, several, recorder))
