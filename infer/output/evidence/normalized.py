"""Whether a log density has all of its constants, without which an evidence means nothing."""

from collections.abc import Iterator

from ...density.base import LogDensity
from ...errors import EngineError, ModelError, warn_of_model
from ...models.abstract import account_of

_ASSUMED = "the log density is taken as it is written: it must include all constants"


def refuse_without_evidence(density: LogDensity) -> None:
    """Raise if the log density has no integral that means something.

    Raises:
        EngineError: A prior is known by its score alone, or the model has a minibatch.
        ModelError: A site has no prior, and no factor can be one; or the model drops constants.
    """
    if density.model.program.drops_constants:
        raise ModelError(
            "model",
            "its log density lacks constants, so that the evidence is known up to a factor alone",
            "In a Stan program, write target += normal_lpdf(y | mu, sigma) for y ~ normal(mu, "
            "sigma), and so on.",
        )
    if density.unvalued or "minibatch" in density.offers:
        why = "a prior is known by its score alone" if density.unvalued else "it has a minibatch"
        mend = "Give that site another prior." if density.unvalued else "Use all rows."
        raise EngineError("evidence", f"the log density has no value, since {why}", mend)
    if density.without_prior and not _has_factor(density):
        name = density.without_prior[0]
        raise ModelError(
            name,
            "it has a constraint and no prior, so that the evidence is known up to a factor alone",
            "Give it a proper prior.",
        )


def list_assumptions(density: LogDensity) -> tuple[str, ...]:
    """List what must hold for the integral to be the evidence, a sentence each.

    Warns:
        ModelWarning: A prior is truncated by a constraint, and not normalized there.
    """
    for site in density.latent:
        if "not renormalized" in site.remark:
            mend = "Give a prior that is normalized on this set, or add the logarithm of that mass."
            warn_of_model(site.name, site.remark, mend)
    return tuple(_assume(density))


def _assume(density: LogDensity) -> Iterator[str]:
    if _has_factor(density):
        yield _ASSUMED
    yield from (f"{site.name}: {site.remark}" for site in density.latent if site.remark)


def _has_factor(density: LogDensity) -> bool:
    return any(term.role == "factor" for term in account_of(density.model).terms)
