"""Draw values from a prior of which only the log density is known, by sampling it."""

import numpy as np
from jaxtyping import Array

from ...engines.nuts import NUTS
from ...models.changes.prior_part import PriorPart
from ...models.model import Model
from ...run.run import Run
from ...run.start import start
from ..data.values import constrain_all
from .generative import generative_error
from .spacing import sample_until_spaced

CHAINS = 4
# Fewer draws of each chain do not show whether the chains agree.
FEWEST = 250
# As for draws of a posterior; see `judge/unmixed.py` and `judge/transitions.py`.
LARGEST_RHAT, DIVERGENT = 1.01, 1e-3
# More draws do not mend what is as wrong as this after the fewest.
HOPELESS_RHAT, HOPELESS_DIVERGENT = 1.1, 0.05


def sample_prior_part(
    model: Model, count: int, key: Array, progress: bool | None
) -> dict[str, np.ndarray]:
    """Draw values of the latent sites, nearly independent, by four chains of NUTS.

    Args:
        model: A model whose log density is one term, less the rows of whose likelihood the log
            prior remains.
        count: Number of draws.
        key: A JAX key.
        progress: Whether to show progress.

    Returns:
        Arrays of shape (count, *site), by name.

    Raises:
        ModelError: The chains do not agree, or diverge, as they do if the prior is improper.
    """
    prior = model.with_change(PriorPart())
    run = start(prior, NUTS(), chains=CHAINS, key=key, progress=progress)
    _refuse_unless_mixed(run.advance(FEWEST), HOPELESS_RHAT, HOPELESS_DIVERGENT)
    thin = sample_until_spaced(run, max(-(-count // CHAINS), FEWEST))
    _refuse_unless_mixed(run, LARGEST_RHAT, DIVERGENT)
    kept = run.draws().positions[:, thin - 1 :: thin]
    positions = np.swapaxes(kept, 0, 1).reshape(-1, kept.shape[-1])[:count]
    values = constrain_all(run.density, positions)
    return {site.name: values[site.name] for site in run.density.latent}


def _refuse_unless_mixed(run: Run, largest: float, divergent: float) -> None:
    import arviz as az

    drawn = run.draws()
    diverging = float(np.mean(drawn.stats["diverging"]))
    # Unlike max, np.max passes NaN on.
    rhat = float(np.max([az.rhat(own) for own in np.moveaxis(drawn.positions, -1, 0)]))
    if diverging > divergent or not rhat <= largest:
        raise generative_error(
            "prior",
            "NUTS draws the true values from log_density less rows, and does not sample it well: "
            f"R-hat is up to {rhat:.3g}, and {100 * diverging:.2g} % of the transitions diverged",
            "Give a proper prior; or write the model with infer.model, whose prior is drawn from "
            "exactly.",
        )
