"""Draws from the prior, with predictions of the observations."""

from collections.abc import Sequence
from typing import Any

import jax
from jaxtyping import Array

from ...calls import check_arguments
from ...counts import as_whole
from ...models.inputs.stacked import models_in
from ...models.model import Model
from ...numerics.keys import make_key
from ..data.extended import add_groups
from .joined import Made, join, make
from .simulate import NOTHING, simulate


@check_arguments("infer.sample_prior")
def sample_prior(
    model: Model | Sequence[Model],
    draws: int = 1000,
    *,
    extend: Any = None,
    key: int | Array = 0,
) -> Any:
    """Draw from the prior, with predictions of the observations.

    Args:
        model: What a front end returned, or several models, as for `sample`.
        draws: Number of draws.
        extend: ArviZ data whose groups the result has too, such as what `sample` returned.
        key: A seed or a JAX key.

    Returns:
        ArviZ data of one chain with `prior` (latent and derived sites), `prior_predictive`, and,
        unless `extend` has them, `observed_data` and `constant_data`. For several models all have
        the dimension `dataset`.

    Raises:
        ModelError: A latent site has a constraint and no prior.
    """
    draws, models = as_whole("draws", draws, 1), models_in(model)
    # A list of one model is sampled as that model.
    sets = len(models) if len(models) > 1 else None
    keys = [key] if sets is None else jax.random.split(make_key(key), sets)
    made = (_draw_one(own, draws, k) for own, k in zip(models, keys, strict=True))
    return add_groups(extend, join(made, sets))


def _draw_one(model: Model, draws: int, key: int | Array) -> Made:
    found, account = simulate(model, NOTHING, draws, key)
    drawn = {
        "prior": {name: a[None] for name, a in (found.latent | found.derived).items()},
        "prior_predictive": {name: a[None] for name, a in found.predicted.items()},
    }
    return make(model, found, account, drawn)
