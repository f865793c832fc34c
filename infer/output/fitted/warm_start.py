"""Begin a sampler at fits: chains start at their draws, and a good fit makes warm-up short."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ...density.base import LogDensity
from ...density.chain_starts import Starts
from ...density.family import make_family, singleton
from ...density.recentered import in_own_coordinates
from ...engines.base import Engine, Tuning
from ...engines.whitened import Whitened
from ...errors import FitWarning, StartError, warn
from ...loaded import is_of_class
from ...numerics.model_keys import read_keys
from ...run.fingerprint import fingerprint
from ...run.run import Run
from ...run.tuned import TuningAtDegrees
from ...run.warmup import stack_tunings

APPROXIMATION = "infer.output.fitted.approximation.Approximation"
# Draws per chain from which chains can judge the metric of a doubtful fit: in windows of 50, the
# split R-hat of 242 coordinates of an item response model was at most 1.05.
JUDGING_DRAWS = 40
# Problems of a fit that make its draws no places to start at.
AWAY = {
    "other_modes": "it covers one of several modes",
    "unbounded_density": "it is near a place where the density grows without bound",
}
UNUSED = (
    "The chains start and warm up as without it. To begin at its draws all the same: "
    "starts=fit.starts(), and tuning=fit.tuning() for its metric."
)
GOOD = "the fit passed its audit, so warm-up keeps its metric and learns only the step size"
DOUBTFUL = (
    "{doubt}, so warm-up keeps the metric only if the chains agree and it whitens their draws"
)


class WarmStart(NamedTuple):
    """How a sampler begins.

    Attributes:
        engine: The sampler; None if the run chooses it.
        starts: Where its chains start.
        tuning: Its first tuning.
        windows: Draws per chain in each window of warm-up; empty if they are the usual ones.
        reasons: What the run says of it.
        gradients: Gradients that this took.
    """

    engine: Engine | None
    starts: Starts | None
    tuning: Tuning | None
    windows: tuple[int, ...] = ()
    reasons: tuple[str, ...] = ()
    gradients: int = 0

    def apply(self, run: Run) -> Run:
        """Give a run that has made no draw these windows and reasons."""
        run.reasons = (*run.reasons, *self.reasons)
        windows = self.windows or run.warmup.windows
        run.warmup = replace(run.warmup, windows=windows, gradients=self.gradients)
        return run


def plan_warm_start(
    model: Any, engine: Engine | None, starts: Any, tuning: Tuning | None, chains: int,
    warmup: int | None, key: Any,
) -> WarmStart:  # fmt: skip
    """Plan how a sampler begins if its starts are fits; other starts are left as they are.

    Args:
        model: The model, or several.
        engine: The sampler, or None.
        starts: An approximation, a list of them with one for each model, or anything else.
        tuning: A tuning that was given, which is used instead of the fits'.
        chains: Number of chains of each model.
        warmup: Draws of warm-up that were asked for, whose windows are the usual ones.
        key: A seed or a JAX key, by which draws of the fits are chosen.

    Raises:
        StartError: The numbers of fits and models differ.
    """
    is_list = isinstance(starts, Sequence) and not isinstance(starts, str)
    fits: list[Any] = list(starts) if is_list else [starts]
    if not fits or not all(is_of_class(fit, APPROXIMATION) for fit in fits):
        return WarmStart(engine, starts, tuning)
    from ...run.choice import choose_sampler
    from .handover import DRAWS, hand_over

    family = make_family(model, jacobian=True)
    if len(fits) != family.count:
        raise StartError(
            "starts",
            f"{len(fits)} fits are given for {family.count} models",
            "Give one fit for each model.",
        )
    engine, reasons = choose_sampler(model, chains) if engine is None else (engine, ())
    for fit in fits:
        if why := _find_why_unused(fit):
            warn(f"starts: the fit is not used, since {why}. {UNUSED}", FitWarning)
            return WarmStart(engine, None, tuning, (), (*reasons, f"the fit is not used: {why}"))
    keys = np.broadcast_to(read_keys(key, len(fits)), (len(fits), 2))
    each = [fit.starts(chains, own) for fit, own in zip(fits, keys, strict=True)]
    begun = WarmStart(engine, each if len(each) > 1 else each[0], tuning, (), reasons)
    if tuning is not None or not isinstance(engine, Whitened):
        return begun
    doubts = [_find_doubt(fit, family.member(i), engine) for i, fit in enumerate(fits)]
    doubt = next(filter(None, doubts), "")
    made = [
        hand_over(family.member(i), fit.density, fit.distribution, fit.positions(DRAWS), engine)
        for i, fit in enumerate(fits)
    ]
    return begun._replace(
        tuning=_join([one.tuning for one in made], [one.degrees for one in made]),
        windows=() if warmup is not None else _choose_windows(engine, chains, bool(doubt)),
        reasons=(*reasons, DOUBTFUL.format(doubt=doubt) if doubt else GOOD),
        gradients=sum(one.gradients for one in made),
    )


def _join(tunings: list[Any], degrees: list[np.ndarray | None]) -> Any:
    """Join what each model begins with."""
    tuning = stack_tunings(tunings)
    known = [own for own in degrees if own is not None]
    if not known:
        return tuning
    return TuningAtDegrees(tuning, np.stack(known) if len(known) > 1 else known[0])


def _find_why_unused(fit: Any) -> str:
    """Say why no chain should start at draws of a fit; empty if they may."""
    if not fit.is_finite:
        return "its parameters are not finite"
    return next((AWAY[f.kind] for f in fit.findings if f.kind in AWAY), "")


def _find_doubt(fit: Any, density: LogDensity, engine: Engine) -> str:
    """Say why the chains should judge the metric of a fit; empty if that is needless."""
    if fit.findings or not fit.converged:
        return "the fit has findings"
    if fit.departures is None:
        return "the fit was not audited"
    fitted = in_own_coordinates(fit.density)
    own, here = (fingerprint(singleton(target), engine) for target in (fitted, density))
    return "" if own == here else "the fit is of another model or of other data"


def _choose_windows(engine: Whitened, chains: int, is_doubtful: bool) -> tuple[int, ...]:
    """Choose the windows: the last for the step size, after some in which chains can judge."""
    *first, last = engine.plan_warmup(chains).windows
    judging = [draws for draws in first if draws >= JUDGING_DRAWS] or first[-1:]
    return (*judging, last) if is_doubtful else (last,)
