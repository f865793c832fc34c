"""The rungs of a ladder for some data sets: Laplace's method, and a sampler where it fails."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray

from ..density.base import LogDensity
from ..density.family import Family
from ..engines.base import Engine
from ..numerics.keys import GENERATOR
from ..run.ladder import Ladder
from ..run.progress import Progress
from ..run.run import Run
from ..run.self_check import refuse_unless_reproduced
from ..run.start import start
from .advance.goal import FixedGoal, pursue
from .data.arviz import SET, describe_run, group_data, group_draws
from .data.drawn import Drawn, name_stats, read_all_draws
from .data.members import constrain_each
from .fitted.normal_rung import Answers, Asked, answer_by_normals, search_modes
from .judge.datasets import find_affected
from .judge.verdict import MIN_DRAWS

# Name of the group that says which method answered for each data set.
GROUP = "ladder"
LAPLACE = "Laplace"
FEWEST_CANDIDATES = 2000
# Attributes that are sums over the runs of both rungs.
SUMMED = (
    "compilations", "sampling_time", "starts_seconds", "trace_seconds", "compile_seconds",
    "warmup_seconds", "sampling_seconds",
)  # fmt: skip

# Attributes about all data sets, of which the search has all.
OF_ALL = ("key", "model_fingerprint")


class Climbed(NamedTuple):
    """What a ladder made for some data sets.

    Attributes:
        family: Their log densities.
        drawn: The draws of both methods, with an axis of data sets after chains and draws.
        ladder: Which method answered for each data set, why, and how far to trust it.
        attributes: Description of the runs.
        relocated: The chains that warm-up relocated, numbered among those of all data sets.
        affected: Which data sets are affected, by what is wrong with them, each of shape (sets,).
    """

    family: Family
    drawn: Drawn
    ladder: xarray.Dataset
    attributes: dict[str, Any]
    relocated: tuple[int, ...]
    affected: Mapping[str, np.ndarray]

    def group(self, drawn: Drawn) -> dict[str, xarray.Dataset]:
        """Gather draws, data and the description of the ladder into groups."""
        return {
            **group_draws(self.family, drawn),
            **group_data(self.family),
            GROUP: self.ladder,
        }


def climb(
    settings: Ladder, models: Sequence[Any], keys: np.ndarray, draws: int, *,
    chains: int, warmup: int | None, group: int | None, threads: int | None,
    progress: bool | None,
) -> Climbed:  # fmt: skip
    """Draw from the posteriors of several data sets; see `infer.Ladder`.

    Args:
        settings: The settings.
        models: The models, at least two.
        keys: Key data of each, shape (sets, 2).
        draws: Number of draws per chain.
        chains: Number of chains of each.
        warmup: Draws per chain of the warm-up of those that are sampled.
        group: Chains per program, likewise.
        threads: Programs called at the same time.
        progress: Whether to show progress.

    Raises:
        EngineError: The density lacks what Laplace's method needs.
    """
    candidates = settings.candidates or max(FEWEST_CANDIDATES, 2 * chains * draws)
    # Two halves.
    candidates += candidates % 2
    asked = Asked(settings.searches, candidates, chains, draws, settings.max_khat)
    shared = {"threads": threads, "progress": progress}
    search = search_modes(models, keys, asked, **shared)
    refuse_unless_reproduced(search)
    answers = answer_by_normals(search, keys, asked)
    options = shared | {"chains": chains, "warmup": warmup, "group": group}
    rest = np.array([i for i, reason in enumerate(answers.reasons) if reason], int)
    sampled = _sample(models, settings.engine, keys, rest, draws, options) if rest.size else None
    drawn = _join(_read_answers(search.family, answers), answers, sampled)
    affected = {} if sampled is None else _judge(settings.engine, search.family, drawn, sampled)
    return Climbed(
        search.family,
        drawn,
        _describe(settings, answers, affected),
        _describe_runs(settings, search, sampled),
        () if sampled is None else _number_relocated(sampled),
        affected,
    )


def count_rungs(ladder: xarray.Dataset) -> dict[str, int]:
    """Count the data sets for which each method answered, as attributes of a result."""
    answered = int((ladder["rung"] == LAPLACE).sum())
    return {"laplace_data_sets": answered, "sampled_data_sets": ladder.sizes[SET] - answered}


def outline_stats(engine: Engine, density: LogDensity) -> dict[str, np.dtype]:
    """Return the types of an engine's statistics, by ArviZ's names; computes nothing.

    Args:
        engine: The engine of the last rung.
        density: The log density of one data set.
    """
    ones = np.ones((1, density.size), jax.dtypes.canonicalize_dtype(float))
    tuning = engine.first_tuning(density, ones, ones)

    def tick(key: Any, position: Any) -> dict[str, Any]:
        state = engine.init(position, density.components(position))
        return engine.tick(key, density, tuning, state)[1].stats

    key = jax.eval_shape(lambda: jax.random.key(0, impl=GENERATOR))
    stats = jax.eval_shape(tick, key, jax.ShapeDtypeStruct(ones.shape[1:], ones.dtype))
    named = name_stats(engine, {name: np.zeros(1, a.dtype) for name, a in stats.items()})
    return {name: a.dtype for name, a in named.items()}


def fill_stats(stats: Mapping[str, np.ndarray], names: Mapping[str, np.dtype]) -> Any:
    """Return the statistics of these names; those that are missing are NaN, 0 or False."""
    shape = next(iter(stats.values())).shape
    return {
        name: stats[name] if name in stats else np.full(shape, _missing(dtype), dtype)
        for name, dtype in names.items()
    }


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
    drawn = read_all_draws(run)
    few = (
        {name: a[:, :, : len(which)] for name, a in part.items()}
        for part in (drawn.values, name_stats(engine, drawn.stats))
    )
    return _Sampled(which, run, Drawn(*few))


def _describe_runs(settings: Ladder, search: Run, sampled: _Sampled | None) -> dict[str, Any]:
    """Describe the runs of both rungs: that of the sampler if there is one, with joint times."""
    first = describe_run(search)
    gradients = int(search.draws().stats["n_gradients"].sum())
    own = {"engine": repr(settings), "search_gradients": gradients}
    if sampled is None:
        return first | own
    second = describe_run(sampled.run)
    # One that is alone was sampled twice, with the same draws.
    count = second["warmup_gradients"] * len(sampled.which) // sampled.run.family.count
    joint = {name: first[name] + second[name] for name in SUMMED}
    whole = {name: first[name] for name in OF_ALL}
    return second | joint | whole | own | {"warmup_gradients": count}


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
        whole = np.full(shape, _missing(other.dtype), other.dtype)
        whole[:, :, sampled.which] = other
        if one is not None:
            whole[:, :, own] = one
        return whole

    return Drawn(
        {name: join(normal.values[name], a) for name, a in sampled.drawn.values.items()},
        {name: join(normal.stats.get(name), a) for name, a in sampled.drawn.stats.items()},
    )


def _missing(dtype: np.dtype) -> float:
    return np.nan if np.issubdtype(dtype, np.inexact) else 0


def _number_relocated(sampled: _Sampled) -> tuple[int, ...]:
    """Number the chains that warm-up relocated among those of all data sets."""
    each = sampled.run.chains // sampled.run.family.count
    moved = (divmod(chain, each) for chain in sampled.run.warmup.relocated)
    return tuple(int(sampled.which[k]) * each + i for k, i in moved if k < len(sampled.which))


def _judge(
    engine: Engine, family: Family, drawn: Drawn, sampled: _Sampled
) -> dict[str, np.ndarray]:
    """Find which data sets are affected, and by what, of those that were sampled."""
    posterior = group_draws(family, drawn)["posterior"].isel({SET: sampled.which})
    found = find_affected(engine, sampled.drawn.stats, posterior, MIN_DRAWS)
    affected = {what: np.zeros(family.count, bool) for what in found}
    for what, whole in affected.items():
        whole[sampled.which] = found[what]
    return affected


def _describe(
    settings: Ladder, answers: Answers, affected: Mapping[str, np.ndarray]
) -> xarray.Dataset:
    """Describe for each data set which method answered, why, and how far to trust it."""
    name, count = type(settings.engine).__name__, len(answers.reasons)
    arrays = {
        "rung": [name if reason else LAPLACE for reason in answers.reasons],
        "reason": answers.reasons,
        "khat": answers.khat,
        "importance_ess": answers.ess,
        "finding": [
            "; ".join(what for what, bad in affected.items() if bad[i]) for i in range(count)
        ],
    }
    own = {n: (SET, np.asarray(a)) for n, a in arrays.items()}
    return xarray.Dataset(own, coords={SET: np.arange(count)})
