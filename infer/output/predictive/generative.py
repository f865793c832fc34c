"""Whether values and data can both be drawn from a model, as calibration requires."""

from typing import Any

from jax.core import Tracer

from ...errors import ModelError
from ...models.abstract import account_of
from ...models.model import Model
from ...models.protocol.account import Account
from ...models.protocol.surveyor import ObservationSurveyor, Surveyor
from ...models.protocol.undivided import find_undivided
from ...models.survey import refuse_unless_model


def refuse_unless_generative(model: Model) -> bool:
    """Raise if values and data cannot be drawn from a model; computes nothing.

    Returns:
        Whether values must be sampled from the prior, since only its log density is known.

    Raises:
        ModelError: A site has no prior, one known by its score alone, or one cut off by its set; a
            term is a factor, or changed by a view; or there is no observation, or one that cannot
            be drawn or has missing entries. The message names it.
    """
    refuse_unless_model(model)
    reader = ObservationSurveyor(Surveyor(model.rules))
    account = account_of(model, reader)
    if find_undivided(account) and account.simulated:
        _refuse_views(account)
        return True
    for declaration in account.declarations:
        _refuse_missing(declaration.name, account)
        _refuse_undrawn(declaration.name, declaration.prior)
    _refuse_views(account)
    for term in account.terms:
        if term.role == "factor":
            raise generative_error(
                term.name,
                "it is a factor, from which nothing can be drawn",
                "Declare it as a prior or as an observation.",
            )
        is_drawn = term.name in reader.priors or term.name in account.simulated
        if term.role == "likelihood" and not is_drawn:
            raise generative_error(
                term.name,
                "new data cannot be drawn for this kind of observation",
                "Declare it by site.observe, or give a tree simulate=; do not turn latent sites "
                "into data by condition.",
            )
    if not account.observed:
        raise generative_error("model", "it observes nothing", "Declare data by site.observe.")
    return False


def generative_error(where: str, found: str, mend: str) -> ModelError:
    """Make the error for a model that cannot be calibrated."""
    return ModelError(where, f"the model cannot be calibrated: {found}", mend)


def _refuse_missing(name: str, account: Account) -> None:
    if name.endswith(".missing") and name.removesuffix(".missing") in account.observed:
        raise generative_error(
            name,
            "it stands for missing entries of an observation",
            "Calibrate the model with complete data: missing=None.",
        )


def _refuse_undrawn(name: str, prior: Any) -> None:
    if prior is None:
        raise generative_error(
            name,
            "this site has a constraint but no prior, so it cannot be drawn",
            "Give it a prior, in infer.model or infer.tree_model; or give infer.declared rows= and "
            "simulate=.",
        )
    if not prior.has_value:
        raise generative_error(
            name,
            "the prior of this site is known by its score alone, so it cannot be drawn",
            "Use a prior with a log density.",
        )
    if prior.remark:
        raise generative_error(
            name,
            f"draws from its prior do not follow its density, since {prior.remark}",
            "Use a prior on the set itself, such as a TruncatedDistribution.",
        )


def _refuse_views(account: Account) -> None:
    for name, power in account.powers.items():
        if any(isinstance(factor, Tracer) or float(factor) != 1 for factor in power.factors):
            raise generative_error(
                name, "a view has changed this term", "Calibrate the model that the view is of."
            )
