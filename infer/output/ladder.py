"""`sample` by a ladder: Laplace's method for many data sets, and NUTS where it fails."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray

from ..counts import as_whole
from ..density.family import Family
from ..engines.base import Engine
from ..errors import RunError, warn
from ..models.inputs.stacked import models_in
from ..numerics.model_keys import read_keys
from ..run.devices import check_positive
from ..run.ladder import Ladder
from ..run.progress import Progress
from ..run.run import Run
from ..run.self_check import refuse_unless_reproduced
from ..run.start import start
from .advance.goal import FixedGoal, pursue
from .data.arviz import SET, describe_run, make_arviz
from .data.drawn import Drawn, name_stats, read_draws
from .data.extended import add_groups
from .data.members import constrain_each
from .data.versions import read_group
from .fitted.normal_rung import Answers, Asked, answer_by_normals, search_modes
from .judge.datasets import find_affected, report_affected
from .judge.verdict import MIN_DRAWS

# Name of the group that says which method answered for each data set.
GROUP = "ladder"
FEWEST_CANDIDATES = 2000
# Arguments of `infer.sample` that a ladder does not take.
_OTHERS = (
    "until", "starts", "tuning", "devices", "store", "keep", "drop", "commit_seconds", "client",
)  # fmt: skip


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
    models = models_in(given["model"])
    draws = as_whole("draws", 1000 if given["draws"] is None else given["draws"], 1)
    chains = as_whole("chains", given["chains"], 1)
    candidates = settings.candidates or max(FEWEST_CANDIDATES, 2 * chains * draws)
    # Two halves.
    candidates += candidates % 2
    asked = Asked(settings.searches, candidates, chains, draws, settings.max_khat)
    keys = read_keys(given["key"], len(models))
    shared = {name: given[name] for name in ("threads", "progress")}
    search = search_modes(models, keys, asked, **shared)
    refuse_unless_reproduced(search)
    answers = answer_by_normals(search, keys, asked)
    options = shared | {name: given[name] for name in ("chains", "warmup", "group")}
    rest = np.array([i for i, reason in enumerate(answers.reasons) if reason], int)
    sampled = _sample(models, settings.engine, keys, rest, draws, options) if rest.size else None
    return _make_result(settings, search, answers, sampled)


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


class _Sampled(NamedTuple):
    """The data sets that were sampled.

    Attributes:
        which: Their indices.
        run: Their run.
        drawn: Values and statistics, with an axis of them after chains and draws.
    """

    which: np.ndarray
    run: Run
    drawn: Drawn


def _sample(
    models: Sequence[Any], engine: Engine, keys: np.ndarray, which: np.ndarray, draws: int,
    options: Mapping[str, Any],
) -> _Sampled:  # fmt: skip
    """Sample some data sets; one that is alone is sampled twice, as one of several."""
    chosen = which if len(which) > 1 else np.repeat(which, 2)
    own = [models[int(i)] for i in chosen]
    run = start(own, engine, key=list(keys[chosen]), **options)
    with Progress(run.progress) as watch:
        pursue(run, FixedGoal(draws), watch)
    refuse_unless_reproduced(run)
    drawn = read_draws(run, run.draws(gradients=False))
    few = (
        {name: a[:, :, : len(which)] for name, a in part.items()}
        for part in (drawn.values, name_stats(engine, drawn.stats))
    )
    return _Sampled(which, run, Drawn(*few))


def _make_result(settings: Ladder, search: Run, answers: Answers, sampled: _Sampled | None) -> Any:
    """Join the draws of both methods, and describe which one answered for each data set."""
    drawn = _join(_read_answers(search.family, answers), answers, sampled)
    run = search if sampled is None else sampled.run
    laplace, nuts = len(answers.answered), 0 if sampled is None else len(sampled.which)
    attributes = describe_run(run) | {
        "engine": repr(settings), "laplace_data_sets": laplace, "sampled_data_sets": nuts,
        "relocated_chains": "" if sampled is None else _number_relocated(sampled),
        "search_gradients": int(search.draws().stats["n_gradients"].sum()),
    }  # fmt: skip
    made = make_arviz(search.family, drawn, attributes)
    affected = {} if sampled is None else _judge(settings.engine, made, sampled)
    result = add_groups(made, {GROUP: _describe(settings, answers, sampled, affected)})
    counts = {what: int(bad.sum()) for what, bad in affected.items() if bad.any()}
    findings = tuple(report_affected(counts, nuts))
    result.attrs["verdict"] = "\n".join(findings)
    for finding in findings:
        warn(finding)
    return result


def _read_answers(family: Family, answers: Answers) -> Drawn:
    """Map the draws of Laplace's method to values, and give them their statistics."""
    own = answers.answered
    if not own.size:
        return Drawn({}, {})
    # A family of one has its arrays elsewhere.
    padded = own if len(own) > 1 else np.repeat(own, 2)
    few = Family(family.shared, family.rows(padded), len(padded))
    positions = answers.positions[[0, 0]] if len(own) == 1 else answers.positions
    values = constrain_each(few, positions)
    moved = {name: np.moveaxis(a[: len(own)], 0, 2) for name, a in values.items()}
    return Drawn(moved, {"lp": np.moveaxis(answers.lp, 0, 2)})


def _join(normal: Drawn, answers: Answers, sampled: _Sampled | None) -> Drawn:
    """Join the draws of both methods along the axis of data sets.

    Statistics that a method does not have are NaN, 0 or False.
    """
    if sampled is None:
        return normal
    if not normal.values:
        return sampled.drawn
    count, own = len(answers.reasons), answers.answered

    def join(one: np.ndarray | None, other: np.ndarray) -> np.ndarray:
        shape = *other.shape[:2], count, *other.shape[3:]
        missing = np.nan if np.issubdtype(other.dtype, np.inexact) else 0
        whole = np.full(shape, missing, other.dtype)
        whole[:, :, sampled.which] = other
        if one is not None:
            whole[:, :, own] = one
        return whole

    return Drawn(
        {name: join(normal.values[name], a) for name, a in sampled.drawn.values.items()},
        {name: join(normal.stats.get(name), a) for name, a in sampled.drawn.stats.items()},
    )


def _number_relocated(sampled: _Sampled) -> str:
    """Number the chains that warm-up relocated among those of all data sets."""
    each = sampled.run.chains // sampled.run.family.count
    moved = (divmod(chain, each) for chain in sampled.run.warmup.relocated)
    own = [sampled.which[k] * each + i for k, i in moved if k < len(sampled.which)]
    return ", ".join(map(str, own))


def _judge(engine: Engine, made: Any, sampled: _Sampled) -> dict[str, np.ndarray]:
    """Find which of the sampled data sets are affected, and by what."""
    posterior = read_group(made, "posterior").isel({SET: sampled.which})
    return find_affected(engine, sampled.drawn.stats, posterior, MIN_DRAWS)


def _describe(
    settings: Ladder, answers: Answers, sampled: _Sampled | None,
    affected: Mapping[str, np.ndarray],
) -> xarray.Dataset:  # fmt: skip
    """Describe for each data set which method answered, why, and how far to trust it."""
    name = type(settings.engine).__name__
    findings = [""] * len(answers.reasons)
    for k, index in enumerate([] if sampled is None else sampled.which):
        findings[index] = "; ".join(what for what, bad in affected.items() if bad[k])
    arrays = {
        "rung": [name if reason else "Laplace" for reason in answers.reasons],
        "reason": answers.reasons,
        "khat": answers.khat,
        "importance_ess": answers.ess,
        "finding": findings,
    }
    own = {n: (SET, np.asarray(a)) for n, a in arrays.items()}
    return xarray.Dataset(own, coords={SET: np.arange(len(findings))})
