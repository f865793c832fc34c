"""Switch to a metric that depends on the position late in warm-up, if the draws ask for it."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np

from ..density.family import Family
from ..engines.base import Engine
from ..numerics.hamiltonian import HamiltonianTuning
from ..numerics.hierarchical import Hierarchical, hold, vary
from ..numerics.retune import pool_rows
from .loop import RecordFormat
from .recentering import end_window_of as end_window_in_coordinates
from .tuned import expect_form, is_held, may_vary
from .warmup import LONGEST_WARMUP, Warmup, read_windows

_log = logging.getLogger("infer")


def end_window_of(engine: Engine, family: Family, warmup: Warmup, records: RecordFormat) -> Warmup:
    """End a window of warm-up; after the last that learns a metric, choose its kind.

    If the metric is to vary, that window is repeated with it, within `LONGEST_WARMUP`. The new
    metric is kept only if it makes 1.5 times as many effective draws per gradient. Where it is
    likely to vary, the constant metric of the windows before has the same form; see `expect_form`.

    Args:
        engine: The engine.
        family: The log densities, in their own coordinates.
        warmup: Warm-up during the window.
        records: How its draws were recorded.
    """
    windows = read_windows(warmup, records)
    if is_held(engine, warmup.tuning):
        # It learns what a constant metric does.
        warmup = replace(warmup, tuning=hold(warmup.tuning))
    ended = end_window_in_coordinates(engine, family, warmup, *windows)
    if _is_choice_due(engine, warmup, ended):
        ended = _choose(warmup, ended)
    return replace(ended, tuning=expect_form(engine, family, ended.tuning, ended.planned))


def _choose(warmup: Warmup, ended: Warmup) -> Warmup:
    """Choose the kind of metric, after a window that learned one."""
    from ..numerics.metric_choice import is_more_efficient, needs_hierarchical_metric

    if not isinstance(warmup.tuning.metric, Hierarchical):
        draws, scores, stats = ended.recent[-1]
        fits = ended.draws + warmup.windows[0] + sum(ended.windows) <= _longest(warmup)
        varies = fits and needs_hierarchical_metric(draws, scores, stats["lp"])
        return _try_variation(warmup, ended) if varies else ended
    # Only the repeated window begins with a search for the step size, and is as long as the last.
    lengths = {own.positions.shape[1] for own in ended.recent}
    if warmup.tuning.searching and len(ended.recent) == 2 and len(lengths) == 1:
        both = [a for own in ended.recent for a in (own.positions, own.stats["n_steps"])]
        return ended if is_more_efficient(*both) else _give_up(ended)
    return ended


def _longest(warmup: Warmup) -> int:
    return LONGEST_WARMUP * warmup.planned


def _is_choice_due(engine: Any, before: Warmup, ended: Warmup) -> bool:
    """Return whether the choice is due: only the window for the step size is left."""
    if not may_vary(engine) or not engine.stop_early or ended.densities > 1:
        return False
    is_last = len(before.windows) == 2 and len(ended.windows) == 1 and not ended.skipped_windows
    return is_last and len(ended.recent) > 0


def _try_variation(before: Warmup, ended: Warmup) -> Warmup:
    """Repeat the window that has ended with a metric that varies."""
    tuning = _learn(vary(ended.tuning, ended.recent[-1].positions.shape[-1]), ended)
    if tuning.metric.is_constant:  # pyright: ignore[reportAttributeAccessIssue]
        return ended
    _log.info("warm-up: trying a metric that depends on the position, as some scales seem to")
    return replace(ended, tuning=tuning, windows=(before.windows[0], *ended.windows))


def _give_up(ended: Warmup) -> Warmup:
    """Go back to a constant metric."""
    _log.info("warm-up: the metric is constant again, because one that varies was slower")
    return replace(ended, tuning=_learn(hold(ended.tuning), ended))


def _learn(tuning: HamiltonianTuning, ended: Warmup) -> HamiltonianTuning:
    """Learn a metric of the kind of the tuning, whose step size is then searched for."""
    draws, scores = (pool_rows(own) for own in zip(*(w[:2] for w in ended.recent), strict=True))
    metric, searching = tuning.metric.learn(draws, scores), np.ones_like(tuning.searching)
    return replace(tuning, metric=metric, searching=searching)
