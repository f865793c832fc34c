"""`sample` by parallel tempering: the chains of power 1 become an ordinary result."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray

from ..counts import as_whole
from ..errors import RunError, warn
from ..models.inputs.stacked import are_several
from ..numerics.tempering import mean_rejections
from ..run.progress import Progress
from ..run.replicas import Replicas, take_top
from ..run.tempered import Tempered
from ..run.tempering import DEFAULT_WARMUP, Tempering, begin_tempering
from .advance.goal import FixedGoal
from .advance.interrupt import keep_run
from .data.extended import add_groups
from .judge.round_trips import ASKED, GROUP, find_few_round_trips
from .predictive.requested import WARMUP, read_request
from .result import make_result

# Arguments of `infer.sample` that parallel tempering does not take.
_OTHERS = ("until", "tuning", "devices", "store", "keep", "drop", "commit_seconds", "client")


def sample_tempered(settings: Tempered, given: Mapping[str, Any]) -> Any:
    """Draw from the posterior by parallel tempering; see `infer.sample` and `infer.Tempered`.

    Args:
        settings: The settings.
        given: The arguments of `infer.sample` by name.

    Raises:
        RunError: One of them does not go with tempering.
    """
    _refuse(given)
    draws = as_whole("draws", 1000 if given["draws"] is None else given["draws"], 1)
    include = read_request(given["include"], given["model"])
    chains = as_whole("chains", given["chains"], 1)
    asked = given["warmup"]
    warmup = DEFAULT_WARMUP if asked is None else as_whole("warmup", asked, 0)
    names = ("starts", "key", "group", "threads", "progress")
    made = begin_tempering(
        given["model"], settings, chains=chains, warmup=warmup,
        **{name: given[name] for name in names},
    )  # fmt: skip
    finish = lambda: _finish(made, draws, include, warmup)  # noqa: E731
    return keep_run("infer.sample", made.replicas, finish)


def _refuse(given: Mapping[str, Any]) -> None:
    named = [name for name in _OTHERS if given[name] is not None]
    named += ["thin"] * (given["thin"] != 1)
    if WARMUP in given["include"]:
        named.append('include="warmup"')
    if named:
        raise RunError(
            named[0], "infer.Tempered() does not take it", "Leave it out, or choose another engine."
        )
    if are_several(given["model"]):
        raise RunError(
            "model", "several models are given", "Call infer.sample with infer.Tempered() for each."
        )


def _finish(made: Tempering, draws: int, include: Sequence[str], warmup: int) -> Any:
    with Progress(made.replicas.progress) as bar:
        replicas = made.advance(draws, bar)
    top = take_top(replicas, made.density, made.made, made.gradients)
    result = make_result(top, FixedGoal(draws), include)
    asked = {name: getattr(made.settings, name) for name in ASKED} | {"warmup": warmup}
    data = add_groups(result, {GROUP: describe_tempering(replicas).assign_attrs(asked)})
    data.attrs["engine"] = repr(made.settings)
    findings = tuple(find_few_round_trips(data))
    data.attrs["verdict"] = "\n".join(filter(None, [data.attrs["verdict"], *findings]))
    for finding in findings:
        warn(finding)
    return data


def describe_tempering(replicas: Replicas) -> xarray.Dataset:
    """Describe levels, swaps and round trips in a group of a result.

    Returns:
        `power` of each level; `swap_rate`, the mean acceptance of swaps of a level with the next
        one, NaN for the last; `round_trips` of each chain; and `log_ratio`, the log of the
        posterior over the reference in nats, before each turn of swaps. The attribute `barrier` is
        the sum of the rejections, and `gradients` counts those of all levels in sampling.
    """
    ratios = np.stack(replicas.log_ratios) if replicas.log_ratios else _none(replicas)
    rejections = mean_rejections(replicas.powers, ratios)
    arrays = {
        "power": (("level",), replicas.powers),
        "swap_rate": (("level",), np.append(1 - rejections, np.nan)),
        "round_trips": (("chain",), replicas.trips.made.copy()),
        "log_ratio": (("chain", "swap", "level"), ratios.transpose(2, 0, 1)),
    }
    coords = {name: np.arange(size) for name, size in zip(("swap", "level", "chain"), ratios.shape)}  # noqa: B905
    attributes = {"barrier": float(rejections.sum()), "gradients": replicas.executed}
    return xarray.Dataset(arrays, coords=coords, attrs=attributes)


def _none(replicas: Replicas) -> np.ndarray:
    return np.zeros((0, len(replicas.powers), replicas.ladders))
