"""`evidence`: the log marginal likelihood of a model, from draws of its posterior."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...calls import check_arguments
from ...density.base import log_density
from ...errors import RunError
from ...models.inputs.stacked import are_several
from ...models.model import Model
from .bridged import estimate_by_bridge
from .estimate import Estimate
from .normalized import list_assumptions, refuse_without_evidence
from .sequential import estimate_by_nested, estimate_by_smc, has_nested, has_smc
from .stones import estimate_by_stones, has_levels

Method = Literal["bridge", "stepping_stone", "smc", "nested"]
METHODS: dict[str, Callable[..., Estimate]] = {
    "bridge": estimate_by_bridge,
    "stepping_stone": estimate_by_stones,
    "smc": estimate_by_smc,
    "nested": estimate_by_nested,
}


@dataclass(frozen=True)
class Evidence:
    """The evidence (marginal likelihood) of a model; the difference of two is a log Bayes factor.

    Attributes:
        log_evidence: Its natural logarithm, in nats.
        standard_error: That of `log_evidence`, in nats; NaN if the method does not give it.
        method: How it was estimated.
        assumes: What must hold for it to be right, a sentence each.
    """

    log_evidence: float
    standard_error: float
    method: str
    assumes: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"log evidence {self.log_evidence:.3f} ± {self.standard_error:.3f} nats"
        return "; ".join([f"{text} by {self.method}", *self.assumes])


@check_arguments("infer.evidence")
def evidence(model: Model, result: Any, method: Method | None = None, *, seed: int = 0) -> Evidence:
    """Estimate the log evidence of a model from draws of its posterior.

    The evidence is the integral of prior times likelihood. The methods:

    - "bridge": warp-III bridge sampling, from draws of any sampler. A normal is fitted to the first
      half of each chain, and the second half and as many draws of the normal give the estimate.
      The error counts the draws by their effective number. A mode without draws is not counted.
    - "stepping_stone": from the levels between reference and posterior of `infer.Tempered`; modes
      that its chains cross are all counted.
    - "smc": what `BlackJAX("smc")` estimated on its way from the prior to the posterior.
    - "nested": what `BlackJAX("nested_slice")` estimated on that way. Its error is that of the
      volumes; it does not know of a mode that no live point found.

    Priors and likelihoods of distributions are normalized. A log density that you wrote yourself
    (`declared`, factors) must have all its constants.

    Args:
        model: The model that was sampled.
        result: What `infer.sample` returned, a `Run`, or ArviZ data read from a file; for "smc"
            and "nested" also a list of results with different keys, whose spread gives the
            standard error of "smc".
        method: By default "stepping_stone" for results of `infer.Tempered`, "smc" for those of
            tempered SMC, "nested" for those of nested sampling, else "bridge".
        seed: Seed of the normal's draws.

    Warns:
        SamplingWarning: The estimate is not trustworthy; the message says why.
        ModelWarning: A prior is truncated by a constraint, and not normalized there.

    Raises:
        ModelError: A site has no prior, so that the evidence has no meaning.
        EngineError: The log density has no value.
        RunError: The result is of another model, has too few draws, or was made by another method.

    Source: Meng & Schilling (2002), Warp bridge sampling; Gronau et al. (2020), bridgesampling: an
        R package for estimating normalizing constants; Xie et al. (2011), Improving marginal
        likelihood estimation for Bayesian phylogenetic model selection.
    """
    if are_several(model):
        raise RunError(
            "model",
            "several models are given, and each has its own evidence",
            "Call infer.evidence(models[i], result.sel(dataset=i)) for each.",
        )
    density = log_density(model)
    refuse_without_evidence(density)
    chosen = method or _choose(result)
    if chosen not in METHODS:
        raise RunError("method", f"{method!r} is unknown", f"Choose from {', '.join(METHODS)}.")
    found = METHODS[chosen](density, result, seed)
    return Evidence(*found, list_assumptions(density))


def _choose(result: Any) -> str:
    if has_levels(result):
        return "stepping_stone"
    if has_nested(result):
        return "nested"
    return "smc" if has_smc(result) else "bridge"
