"""The coordinates of a fit, in which it is learned how far sites are centered."""

from collections.abc import Sequence
from typing import Any

from ...density.family import make_family
from ...density.recentered import Recentered, find_centering, learned_by_fits
from ...engines.approximating import Approximator
from ...models.inputs.names import join_names
from ...models.model import Model
from ...numerics.families.full_rank import FullRank
from ...run.recentered_fits import prepare_survey
from ...run.recentering import begin_centering
from ...run.run import Run
from ...run.tuned import TuningAtDegrees
from .reading import find_fitted


def begin_coordinates(
    model: Model | Sequence[Model], engine: Approximator
) -> TuningAtDegrees | None:
    """Return the coordinates that a fit and its searches begin with; `None` for the density's own.

    They are non-centered, in which hierarchical densities have a mode. Only a full covariance can
    move to others. Multivariate normals and sites of steps stay as written.
    """
    family = make_family(model, jacobian=True)
    if not isinstance(engine.choose_family(family.member(0).size), FullRank):
        return None
    first = begin_centering(family)
    alone = None if first is None else learned_by_fits(first)
    return TuningAtDegrees(None, alone.degrees) if alone and alone.pieces else None


def prepare_coordinates(run: Run) -> None:
    """Begin to compile what a fit calls to learn its coordinates, if it does."""
    density: Any = find_fitted(run).member(0)
    if isinstance(density, Recentered):
        prepare_survey(density)


def describe_coordinates(run: Run) -> tuple[str, ...]:
    """Name the sites for which a fit learns how far they are centered, if there are any."""
    centering = find_centering(find_fitted(run).member(0))
    if centering is None:
        return ()
    names = join_names([piece.name for piece in centering.pieces])
    return (f"in coordinates in which it is learned how far {names} should be centered",)
