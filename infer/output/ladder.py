"""`sample` by a ladder: Laplace's method for many data sets, and NUTS where it fails."""

from collections.abc import Mapping
from typing import Any

from ..counts import as_whole
from ..errors import RunError, warn
from ..models.inputs.stacked import models_in
from ..numerics.model_keys import read_keys
from ..run.devices import check_positive
from ..run.ladder import Ladder
from .advance.goal import FixedGoal
from .data.versions import as_arviz
from .judge.datasets import report_affected
from .rungs import climb, count_rungs
from .stored.options import Options

# Arguments of `infer.sample` that a ladder does not take.
_OTHERS = ("until", "starts", "tuning", "devices", "commit_seconds")


def sample_ladder(settings: Ladder, given: Mapping[str, Any]) -> Any:
    """Draw from the posteriors of many data sets; see `infer.sample` and `infer.Ladder`.

    Args:
        settings: The settings.
        given: The arguments of `infer.sample` by name.

    Raises:
        RunError: One of them does not go with a ladder.
        EngineError: The density lacks what Laplace's method needs.
    """
    _refuse(given)
    check_positive(group=given["group"], threads=given["threads"])
    if given["warmup"] is not None:
        as_whole("warmup", given["warmup"], 0)
    models, key = models_in(given["model"]), given["key"]
    draws = as_whole("draws", 1000 if given["draws"] is None else given["draws"], 1)
    as_whole("chains", given["chains"], 1)
    options = {name: given[name] for name in ("chains", "warmup", "group")}
    shared = {name: given[name] for name in ("threads", "progress")}
    storing = Options(*(given[name] for name in Options._fields)).check(
        models, FixedGoal(draws), ()
    )
    if storing or given["client"] is not None:
        from .stored.shards import refuse_unsuited_client, sample_shards

        refuse_unsuited_client(given["client"], storing, len(models))
        return sample_shards(
            storing, models, settings, key, client=given["client"], **shared, **options
        )
    made = climb(settings, models, read_keys(key, len(models)), draws, **shared, **options)
    counts = count_rungs(made.ladder)
    affected = {what: int(bad.sum()) for what, bad in made.affected.items()}
    findings = tuple(report_affected(affected, counts["sampled_data_sets"]))
    moved = {"relocated_chains": ", ".join(map(str, made.relocated))}
    attributes = made.attributes | counts | moved | {"verdict": "\n".join(findings)}
    for finding in findings:
        warn(finding)
    return as_arviz(made.group(made.drawn), attributes)


def _refuse(given: Mapping[str, Any]) -> None:
    named = [name for name in _OTHERS if given[name] is not None]
    named += ["thin"] * (given["thin"] != 1) + ["include"] * bool(given["include"])
    if named:
        raise RunError(
            named[0], "infer.Ladder() does not take it", "Leave it out, or choose another engine."
        )
    if len(models_in(given["model"])) < 2:
        raise RunError(
            "model",
            "infer.Ladder() is for several models, and one is given",
            "Give a list of models. For one, infer.fit(model, infer.Laplace()) says its khat, and "
            "infer.sample(model) samples it.",
        )
