"""What a user gives as a set: one of ours, of NumPyro's, or of TFP's by a bijector."""

from typing import Any

from numpyro.distributions import constraints

from bijectors.base import Constraint
from bijectors.translate.image_of import ImageOf
from bijectors.translate.numpyro import from_numpyro
from bijectors.translate.tfp import from_tfp
from bijectors.translate.tfp_bijector import bijector_from_tfp
from bijectors.translate.tfp_reach import image_of_reals

from ...errors import ModelError
from .from_tfp import is_a, is_of_tfp


def is_set(said: Any) -> bool:
    """Return whether something is a set, and not a prior or a function that returns one."""
    return isinstance(said, Constraint | constraints.Constraint) or is_a(said, "Bijector")


def set_of(said: Any, where: str) -> Constraint:
    """Return a set as one of ours.

    Args:
        said: A set of ours; a constraint of NumPyro; a bijector of TFP, for the values that it
            reaches, or a distribution of TFP, for its support.
        where: Name to give in errors, such as a site's.

    Raises:
        ModelError: It is none of these.
        BijectorError: It has no translation.
    """
    if isinstance(said, Constraint):
        return said
    if isinstance(said, constraints.Constraint):
        return from_numpyro(said, where)
    if is_a(said, "Bijector"):
        return image_of_reals(said) or ImageOf(bijector_from_tfp(said))
    if is_of_tfp(said):
        return from_tfp(said, where)
    raise ModelError(
        where,
        f"its set is {said!r}",
        "Give a set such as bijectors.Positive(), a constraint of NumPyro, or a bijector of TFP.",
    )
