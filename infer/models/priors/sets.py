"""Sets as a user gives them: one of ours, a constraint of NumPyro or a bijector of TFP."""

from typing import Any

from bijectors.base import Constraint

from ...errors import ModelError
from .distributions import is_constraint
from .tfp_kinds import is_a, is_of_tfp
from .units import refuse_parameters_with_units


def is_set(given: Any) -> bool:
    """Return whether this is a set, and not a prior or a function that returns one."""
    return isinstance(given, Constraint) or is_constraint(given) or is_a(given, "Bijector")


def set_of(given: Any, where: str) -> Constraint:
    """Return a set as one of ours.

    Args:
        given: A set of ours; a constraint of NumPyro; a bijector of TFP, which stands for its
            image; or a distribution of TFP, which stands for its support.
        where: Name to give in errors, such as a site's.

    Raises:
        ModelError: It is none of these.
        BijectorError: It has no translation.
    """
    refuse_parameters_with_units(where, given, "set")
    if isinstance(given, Constraint):
        return given
    # Few models have anything of NumPyro or TFP here.
    if is_constraint(given):
        from bijectors.translate.numpyro import from_numpyro

        return from_numpyro(given, where)
    if is_a(given, "Bijector"):
        from bijectors.translate.image_of import ImageOf
        from bijectors.translate.tfp_bijector import bijector_from_tfp
        from bijectors.translate.tfp_reach import image_of_reals

        return image_of_reals(given) or ImageOf(bijector_from_tfp(given))
    if is_of_tfp(given):
        from bijectors.translate.tfp import from_tfp

        return from_tfp(given, where)
    raise ModelError(
        where,
        f"its set is {given!r}",
        "Give a set such as bijectors.Positive(), a constraint of NumPyro, or a bijector of TFP.",
    )
