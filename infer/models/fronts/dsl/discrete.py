"""Sites of the DSL whose values are summed over."""

from typing import Any

from jaxtyping import Array

from bijectors.sets.discrete import Discrete

from ....errors import ModelError
from ...priors.prior import Prior
from ...protocol.account import Account
from ...protocol.layout import Plates
from ...protocol.reader import Reader
from ...protocol.site import Declaration, Dims


def take_summed(
    account: Account, reader: Reader, name: str, prior: Prior, dims: Dims, plates: Plates
) -> Array:
    """Take the value of a discrete site that is summed out.

    Args:
        account: The account of the run.
        reader: Its reader.
        name: Name of the site.
        prior: Its prior, broadcast to its batch shape.
        dims: Names of its axes.
        plates: Plates around it.

    Raises:
        ModelError: The site is continuous, or in a plate with a minibatch.
    """
    from ...discrete.sum_out import take_discrete

    constraint = prior.constraint(name)
    if not isinstance(constraint, Discrete):
        raise ModelError(
            name,
            f"it is to be summed out, and its support {constraint!r} is not discrete",
            "Leave sum_out away: a continuous site is sampled.",
        )
    for plate in (plate for plate in plates if plate.minibatch is not None):
        raise ModelError(
            name,
            f"it is summed out in the plate {plate.name!r}, which has a minibatch",
            "Use all rows in every step: minibatch=None.",
        )
    return take_discrete(
        account, reader, Declaration(name, constraint, prior.batch_shape, dims, prior)
    )


def refuse_options(name: str, **options: Any) -> None:
    """Raise if a site that is summed out has options of a continuous site.

    Raises:
        ModelError: One of the options is not its default.
    """
    for option, value in options.items():
        if value is not None and value is not True:
            raise ModelError(
                name,
                f"it is summed out, and {option}= chooses a set or a map of a continuous site",
                f"Leave {option}= away.",
            )
