"""Predictions: draws of what a model observes, given draws of the posterior or the prior."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray
from jaxtyping import Array

from ..calls import check_arguments
from ..counts import as_whole
from ..density.gathers import check_program
from ..errors import ModelError
from ..models.inputs.data import leaf_names
from ..models.inputs.stacked import are_several, models_in
from ..models.model import Model
from ..models.origins import translate_errors_of
from ..models.protocol.account import Account
from ..models.protocol.clashes import refuse_clashes
from ..models.protocol.layout import refuse_repeated
from ..models.protocol.site import Dims
from ..models.readers import Predictions
from ..models.survey import refuse_unless_model
from ..numerics.keys import make_key, read_key_data, wrap_key
from ..programs.native import call_compiled
from ..programs.slices import call_in_slices, choose_rows
from .arviz import SET, make_dataset
from .trees import read_chains_and_draws, read_values
from .versions import as_arviz

Arrays = dict[str, np.ndarray]


class Simulated(NamedTuple):
    """Values of one run of a model: latent, derived, predicted, and observed ones."""

    latent: dict[str, Any]
    derived: dict[str, Any]
    predicted: dict[str, Any]
    observed: dict[str, Any]


@check_arguments("infer.predict")
def predict(
    model: Model | Sequence[Model],
    posterior: Any,
    *,
    redraw: Sequence[str] = (),
    key: int | Array = 0,
) -> Any:
    """Draw predictions of all observations, one for each draw of the posterior.

    To predict under other conditions, change the model's data: `model.with_data(x=new_x, y=None)`.
    The new data may have another size, and observed data may be `None`.

    Args:
        model: What a front end returned, whose observations are declared by `site.observe`; or
            several models, as for `sample`.
        posterior: ArviZ data with a posterior of this model; for several models, with the
            dimension `dataset`, as `sample` returns it.
        redraw: Latent sites to draw from their prior instead, such as the effects of new groups.
            A site that the posterior does not have is drawn from its prior too.
        key: A seed or a JAX key.

    Returns:
        ArviZ data with `posterior_predictive`, which holds a new draw of each observation and
        the recomputed derived sites, `observed_data` and `constant_data`; for several models,
        each with the dimension `dataset`.

    Raises:
        ModelError: The model observes nothing, or the posterior does not fit it.
    """
    given = read_values(posterior)
    lead = read_chains_and_draws(given)
    values = {n: np.asarray(a) for n, a in given.items() if n not in redraw}
    models = models_in(model)
    sets = _count_datasets(posterior) if are_several(model) else None
    if (sets or 1) != len(models):
        raise ModelError(
            "posterior",
            f"it has draws of {sets or 'one'} and not of {len(models)} models",
            "Give the models that were sampled; posterior.sel(dataset=i) has the draws of one.",
        )
    if sets is None:
        return as_arviz(_join_predictions([_predict_one(models[0], values, lead, key)], ()), {})
    keys = jax.random.split(make_key(key), sets)
    each = [{name: a[:, :, i] for name, a in values.items()} for i in range(sets)]
    made = [_predict_one(m, v, lead, k) for m, v, k in zip(models, each, keys, strict=True)]
    return as_arviz(_join_predictions(made, (SET,)), {})


def _count_datasets(posterior: Any) -> int | None:
    """Count the models that a posterior has draws of; return None for a single model."""
    return dict(posterior["posterior"].sizes).get(SET) if "posterior" in posterior else None


class _Prediction(NamedTuple):
    """Arrays by group, with the names of their axes."""

    groups: dict[str, Arrays]
    dims: Mapping[str, Dims]
    coords: Mapping[str, np.ndarray]


def _predict_one(
    model: Model, values: Arrays, lead: tuple[int, int], key: int | Array
) -> _Prediction:
    """Predict from the posterior of one model, with values of shape (*lead, *site)."""
    flat = {name: a.reshape(-1, *a.shape[2:]) for name, a in values.items()}
    draws, account = simulate(model, flat, int(np.prod(lead)), key)
    predicted = {n: a.reshape(*lead, *a.shape[1:]) for n, a in _select_new(draws).items()}
    groups = {"posterior_predictive": predicted} | _collect_data(model, draws, account)
    return _Prediction(groups, account.dims, _coords_of(model))


def _join_predictions(each: list[_Prediction], sets: tuple[str, ...]) -> dict[str, xarray.Dataset]:
    """Join the predictions of several models along a dimension of models."""
    first, groups = each[0], {}
    for group, arrays in first.groups.items():
        lead = ("chain", "draw") if group == "posterior_predictive" else ()
        joined = {
            name: np.stack([own.groups[group][name] for own in each], len(lead)) if sets else array
            for name, array in arrays.items()
        }
        groups[group] = make_dataset(first.dims, first.coords, joined, (*lead, *sets))
    return groups


@check_arguments("infer.sample_prior")
def sample_prior(model: Model, draws: int = 1000, *, key: int | Array = 0) -> Any:
    """Draw from the prior, with predictions of the observations.

    Args:
        model: What a front end returned.
        draws: Number of draws.
        key: A seed or a JAX key.

    Returns:
        ArviZ data of one chain with `prior` (latent and derived sites), `prior_predictive`,
        `observed_data` and `constant_data`.

    Raises:
        ModelError: A latent site has a constraint and no prior.
    """
    found, account = simulate(model, {}, draws, key)
    prior = {name: array[None] for name, array in (found.latent | found.derived).items()}
    predicted = {name: array[None] for name, array in found.predicted.items()}
    drawn = {"prior": prior} | ({"prior_predictive": predicted} if predicted else {})
    groups = {
        n: make_dataset(account.dims, _coords_of(model), arrays) for n, arrays in drawn.items()
    }
    known = {
        name: make_dataset(account.dims, _coords_of(model), arrays, ())
        for name, arrays in _collect_data(model, found, account).items()
    }
    return as_arviz(groups | known, {})


def _select_new(draws: Simulated) -> Mapping[str, Any]:
    if not draws.predicted:
        raise ModelError(
            "model",
            "it declares no observation, so there is nothing to predict",
            "Declare one by site.observe; for a tree, infer.map_trees computes any function.",
        )
    return draws.predicted | draws.derived


def simulate(
    model: Model, values: Arrays, draws: int, key: int | Array
) -> tuple[Simulated, Account]:
    """Run a model once for each row of values, a slice at a time."""
    refuse_unless_model(model)
    draws = as_whole("draws", draws, 1)
    root = read_key_data(key)
    account, numbers = _run_abstractly(model, values, root)
    observed: dict[str, Any] = {}

    def call(rows: tuple[Arrays, np.ndarray]) -> Simulated:
        made = call_compiled(_run_all, model, rows[0], root, rows[1])
        # Observed data are the same for all rows.
        observed.update(made.observed)
        return made._replace(observed={})

    rows = values, np.arange(draws, dtype=np.uint32)
    joined = call_in_slices(call, rows, min(choose_rows(numbers), draws))
    return joined._replace(observed=jax.tree.map(np.asarray, observed)), account


def _run_all(model: Model, values: dict[str, Array], root: Array, rows: Array) -> Simulated:
    def one(values: dict[str, Array], row: Array) -> Simulated:
        return _run(model, values, root, row)[0]

    varying = Simulated(0, 0, 0, None)  # pyright: ignore[reportArgumentType]
    return jax.vmap(one, out_axes=varying)(values, rows)


def _run(
    model: Model, values: dict[str, Array], root: Array, row: Any
) -> tuple[Simulated, Account]:
    key = wrap_key(root)
    reader = Predictions(values, jax.random.fold_in(key, row))
    account = model.run(reader)
    latent = {name: image.value for name, image in account.images.items()}
    return Simulated(latent, account.derived, reader.predicted, reader.observed), account


def _run_abstractly(model: Model, values: Arrays, root: np.ndarray) -> tuple[Account, int]:
    """Run abstractly, to find the names of axes and the number of values per draw.

    Raises:
        ModelError: An index among the data is out of range.
    """
    found: list[Account] = []

    def abstract_run(model: Model, values: dict[str, Array], root: Array) -> Simulated:
        draw, account = _run(model, values, root, 0)
        refuse_repeated(account.dims)
        refuse_clashes(account.dims)
        found.append(account)
        return draw

    first = {name: jax.ShapeDtypeStruct(a.shape[1:], a.dtype) for name, a in values.items()}
    with translate_errors_of(model):
        program = jax.make_jaxpr(abstract_run)(model, first, root)
    others = len(program.in_avals) - len(leaves := jax.tree.leaves(model))
    check_program(program, [*leaves, *[None] * others], [*leaf_names(model), *[""] * others])
    return found[0], sum(result.size for result in program.out_avals)


def _coords_of(model: Model) -> Mapping[str, np.ndarray]:
    return model.labels.coords


def _collect_data(model: Model, draws: Simulated, account: Account) -> dict[str, Arrays]:
    rest = {n: a for n, a in model.constants().items() if n not in account.dims}
    named = {"observed_data": draws.observed, "constant_data": rest}
    return {name: arrays for name, arrays in named.items() if arrays}
