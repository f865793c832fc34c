"""`choose`: an engine for a model, or the next engine from what the draws of a run show."""

from collections.abc import Sequence
from typing import Any, Literal

from ..calls import check_arguments
from ..counts import as_whole
from ..density.family import make_family
from ..errors import EngineError, RunError
from ..models.model import Model
from ..run.choice import Choice, choose_for

# Chains of a run whose number is not given.
CHAINS = 4


@check_arguments("infer.choose")
def choose(
    model: Model | Sequence[Model],
    *,
    posterior: Any = None,
    chains: int | None = None,
    kind: Literal["draws", "fit"] = "draws",
) -> Choice:
    """Choose an engine for a model on this machine, as `sample` or `fit` does if none is given.

    With the result of a run, the choice answers the findings of its verdict: parallel tempering for
    separate modes, a metric that varies for scales that follow other coordinates, a higher target
    acceptance, a longer warm-up, more draws, or another engine. The other settings stay those of
    the run. Advice that concerns the model instead is among the reasons.

    Args:
        model: The model, or several of them.
        posterior: What `infer.sample` returned for this model, or a run with draws; by default the
            choice depends on the model and the machine alone.
        chains: Number of chains for each model, by default 4, or as many as the run has; a fit has
            one.
        kind: "draws" for a sampler, or "fit" for an approximation.

    Raises:
        ModelError: The model cannot be used; the message names the site.
        EngineError: No engine of this kind works for it; the message says what does.
        RunError: `posterior` is no run, its run is not known or has no draws, or it is a run of
            another model.
    """
    if kind not in ("draws", "fit"):
        raise EngineError("choose", f"kind is {kind!r}", 'Choose "draws" or "fit".')
    chains = None if chains is None else as_whole("chains", chains, 1)
    members = make_family(model, jacobian=True)
    if posterior is not None:
        if kind == "fit":
            raise RunError(
                "posterior", 'it is given with kind="fit"', 'Leave one out: kind="draws" reads it.'
            )
        from .judge.proposals import propose_from

        return propose_from(members, posterior, chains)
    if kind == "fit":
        from ..run.fit_choice import plan_fit

        made = plan_fit(members.member(0))
        return Choice(made.engine, made.engine.plan_warmup(1).draws, made.reasons, made.search)
    return choose_for(members.member(0), chains or CHAINS, members.count)
