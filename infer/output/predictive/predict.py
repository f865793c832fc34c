"""Predictions: draws of what a model observes, given draws of the posterior."""

from collections.abc import Sequence
from typing import Any

import xarray
from jaxtyping import Array

from ...calls import check_arguments
from ...errors import ModelError
from ...models.model import Model
from ..data.extended import DATA, add_groups, is_made_from
from .joined import Made, join, make
from .plan import make_plan
from .simulate import Arrays, Simulated, simulate
from .source import Source, pair_with_models, read_source


@check_arguments(
    "infer.predict",
    posterior="Give what infer.sample or infer.fit returned. For draws of the prior, and of what "
    "the model then predicts, call infer.sample_prior(model).",
)
def predict(
    model: Model | Sequence[Model],
    posterior: Any,
    *,
    redraw: Sequence[str] = (),
    draws: int | None = None,
    key: int | Array = 0,
) -> Any:
    """Draw predictions of all observations, one for each draw of the posterior.

    To predict under other conditions, change the model's data: `model.with_data(x=new_x, y=None)`.
    The new data may have another size, and observed data may be `None`.

    Groups are matched by the coordinates of their dimension; without coordinates, one that grew
    keeps its first entries. Effects of new groups are drawn from their prior given the draw. A
    `site.scan`, or a scan of NumPyro, with more steps than the posterior has continues each path
    from its last state, and from what was last observed. What cannot be matched is refused.

    Args:
        model: What a front end returned, whose observations are declared by `site.observe`; or
            several models, as for `sample`.
        posterior: ArviZ data with a posterior of this model; for several models, with the
            dimension `dataset`, as `sample` returns it. Or an `Approximation`, or an `Optimum`
            (whose values are the same in all draws), or a list of these for several models; or
            arrays by name, with leading axes of chains and draws.
        redraw: Latent sites to draw from their prior instead, with all their entries and steps;
            observations of a scan that are not to be continued from what was observed.
        draws: Number of draws of an `Approximation` or for an `Optimum`, by default 1000.
        key: A seed or a JAX key.

    Returns:
        ArviZ data with all groups of `posterior`, which itself is not changed, and one more: a new
        draw of each observation, the derived sites, and latent sites that were drawn. If the model
        has the data and coordinates that the posterior was made from, or if these are not known,
        the group is `posterior_predictive`. Otherwise it is `predictions`, with the model's data
        in `predictions_constant_data`. `observed_data` and `constant_data` are added if there are
        none. For several models all have the dimension `dataset`.

    Warns:
        ModelWarning: The posterior does not have a latent site, so it is drawn from its prior;
            to silence this, name it in `redraw`. Or data along an axis that grew do not begin
            with those that the posterior was made from.

    Raises:
        ModelError: The model observes nothing, or the posterior does not fit it.
        RunError: A number of draws is given for a posterior that has its own.
    """
    source = read_source(posterior, draws, key)
    sets, each = pair_with_models(model, source, key)
    made = (_predict_one(*own, redraw) for own in each)
    return add_groups(source.given, _name_groups(join(made, sets), source))


def _predict_one(model: Model, source: Source, key: int | Array, redraw: Sequence[str]) -> Made:
    plan, (chains, draws) = make_plan(model, source, redraw), source.lead
    found, account = simulate(model, plan.given, chains * draws, key, keep=plan.drawn, fit=plan.fit)
    drawn = {n: a.reshape(chains, draws, *a.shape[1:]) for n, a in _select_drawn(found).items()}
    return make(model, found, account, {"posterior_predictive": drawn})


def _select_drawn(found: Simulated) -> Arrays:
    if not found.predicted and not found.latent:
        raise ModelError(
            "model",
            "it declares no observation, so there is nothing to predict",
            "Declare one by site.observe; for a tree, infer.map_trees computes any function.",
        )
    return {**found.predicted, **found.latent, **found.derived}


def _name_groups(made: dict[str, xarray.Dataset], source: Source) -> dict[str, xarray.Dataset]:
    """Name the groups `predictions` if the model has other data than the result was made from."""
    drawn, old = (
        made["posterior_predictive"],
        [source.groups[n] for n in DATA if n in source.groups],
    )
    own = [made[name] for name in DATA if name in made]
    if not old or is_made_from(own, drawn, old):
        return made
    constant = {"predictions_constant_data": xarray.merge(own, compat="override")} if own else {}
    return {"predictions": drawn} | constant
