"""What warm-up has learned, for another run: the engine's tuning, and the centering it is for."""

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from ..density.family import Family
from ..density.own_scales import has_own_scales
from ..density.recentered import Centering, complete_degrees, learned_by_fits
from ..engines.base import Engine, Tuning
from ..errors import RunError
from ..numerics.hierarchical import MOST_COORDINATES, Hierarchical, hold, vary
from .coordinates import densities_own


@dataclass(frozen=True)
class TuningAtDegrees:
    """The tuning of an engine whose chains were in coordinates of these degrees of centering.

    It has the attributes of the tuning.

    Attributes:
        tuning: The engine's tuning; `None` if it begins without one.
        degrees: How far each entry was centered; of several log densities, stacked.
    """

    tuning: Tuning
    degrees: np.ndarray

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "tuning":
            raise AttributeError(name)
        return getattr(self.tuning, name)


def has_only_degrees(tuning: Tuning | None) -> bool:
    """Return whether an engine that learns no centering is to work in coordinates of degrees."""
    return isinstance(tuning, TuningAtDegrees) and tuning.tuning is None


def join_tuning(tuning: Tuning, centering: Centering | None) -> Tuning:
    """Return what another run needs to go on with what was learned."""
    return tuning if centering is None else TuningAtDegrees(tuning, centering.degrees)


def adapt_tuning(learned: Tuning, fresh: Tuning, count: int) -> Tuning:
    """Give what was learned the form of a first tuning of this many densities, if it can have it.

    Args:
        learned: A tuning of one density, or of all.
        fresh: The first tuning; of several densities, its arrays have a leading axis of densities.
        count: Number of densities.
    """
    own, wanted = (getattr(tuning, "metric", None) for tuning in (learned, fresh))
    if isinstance(own, Hierarchical) and own.is_constant and not isinstance(wanted, Hierarchical):
        learned = hold(learned)
    return share_tuning(learned, fresh) if count > 1 else learned


def share_tuning(learned: Tuning, fresh: Tuning) -> Tuning:
    """Give each of several densities the tuning of one, if that is what was learned.

    Args:
        learned: A tuning of one density, or of all.
        fresh: The tunings of all, whose arrays have a leading axis of densities.
    """
    shapes = [jax.tree.map(np.shape, own) for own in (learned, fresh)]
    each = jax.tree.map(lambda a: np.shape(a)[1:], fresh)
    if shapes[0] == shapes[1] or shapes[0] != each:
        return learned
    return jax.tree.map(lambda own, all_: np.broadcast_to(own, np.shape(all_)), learned, fresh)


def may_vary(engine: Engine) -> bool:
    """Return whether the metric of an engine is to vary if that pays."""
    return (getattr(engine, "metric", ""), getattr(engine, "energy", "")) == ("auto", "value")


def list_forms(engine: Engine, fresh: Tuning) -> list[Tuning]:
    """List what a first tuning may become: with a constant metric, and with one that varies."""
    if not may_vary(engine):
        return [fresh]
    constant = hold(fresh)
    metric: Any = constant.metric
    size = np.shape(getattr(metric, "diagonal", metric).scale)[-1]
    return [constant, vary(constant, size)] if size <= MOST_COORDINATES else [constant]


def is_held(engine: Engine, tuning: Tuning) -> bool:
    """Return whether a metric that may vary is still constant."""
    metric = getattr(tuning, "metric", None)
    return may_vary(engine) and isinstance(metric, Hierarchical) and metric.is_constant


def expect_form(engine: Engine, family: Family, tuning: Tuning, planned: int) -> Tuning:
    """Give a tuning the form of a metric that varies, if warm-up will likely end with one.

    Then only one program is compiled. The metric is constant in it until warm-up chooses.

    Args:
        engine: The engine.
        family: The log densities.
        tuning: The tuning, in any form.
        planned: Planned draws of warm-up per chain.
    """
    is_open = may_vary(engine) and getattr(engine, "stop_early", False) and family.count == 1
    if not is_open or isinstance(tuning.metric, Hierarchical):
        return tuning
    from ..numerics.metric_choice import MAX_SIZE, MIN_DRAWS

    size, windows = family.shared.size, engine.plan_warmup(1, planned).windows
    is_chosen = size <= MAX_SIZE and max(windows, default=0) >= MIN_DRAWS
    return vary(tuning, size) if is_chosen and has_own_scales(family.shared.model) else tuning


def match_form(engine: Engine, fresh: Tuning, learned: Tuning) -> Tuning:
    """Give a first tuning the form of a learned one; leave it if it cannot have that form."""
    forms = list_forms(engine, fresh)
    return next((own for own in forms if not has_other_form(own, learned)), fresh)


def has_other_form(one: Tuning, other: Tuning) -> bool:
    """Return whether tunings differ in structure, so that they need different programs."""
    return jax.tree.structure(one) != jax.tree.structure(other)


def split_tuning(
    tuning: Tuning | None, centering: Centering | None
) -> tuple[Tuning | None, Centering | None]:
    """Return the engine's tuning of an earlier run, and the centering that it is for.

    Args:
        tuning: What an earlier run learned. If it knows of no centering, it is for the coordinates
            of the log density.
        centering: How far sites are centered at first, if there is no tuning.

    Raises:
        RunError: It is for a model with other sites whose centering is learned.
    """
    if tuning is None:
        return None, centering
    learned = tuning.degrees if isinstance(tuning, TuningAtDegrees) else None
    if centering is not None and has_only_degrees(tuning):
        centering = learned_by_fits(centering)
    elif centering is not None and learned is not None:
        learned = complete_degrees(centering.pieces, learned)
        if learned.shape == centering.degrees.shape[1:]:
            learned = np.broadcast_to(learned, centering.degrees.shape)
    if learned is not None and (centering is None or learned.shape != centering.degrees.shape):
        here = 0 if centering is None else centering.degrees.size
        raise RunError(
            "tuning",
            f"it was learned with the centering of {learned.size} entries, and here it is learned "
            f"for {here}",
            "Give the tuning of a run of the same engine on the same model.",
        )
    if centering is None or learned is None:
        return tuning, centering and densities_own(centering)
    return tuning.tuning, centering._replace(degrees=learned.astype(centering.degrees.dtype))
