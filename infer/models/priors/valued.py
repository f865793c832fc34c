"""Find out whether a distribution has a log density or only a score."""

from typing import Any

import jax

from ...errors import ModelError
from ...loaded import is_of_class


def is_valued(distribution: Any) -> bool:
    """Return whether the log density of a distribution has a value: no part is a `ScorePrior`."""
    parts = jax.tree.leaves(distribution, is_leaf=_is_score)
    return not any(map(_is_score, parts))


def refuse_unvalued(where: str, distribution: Any) -> None:
    """Raise if data are observed from a distribution of which only the score is known."""
    if not is_valued(distribution):
        raise ModelError(
            where,
            "it is observed, but its distribution is known by its score alone, which gives no "
            "likelihood of the distribution's parameters",
            "Observe data from a distribution with a log density.",
        )


def _is_score(part: Any) -> bool:
    return is_of_class(part, "infer.models.priors.score.ScorePrior")
