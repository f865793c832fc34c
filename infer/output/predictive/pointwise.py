"""Log likelihoods of the data and log priors of the sites, at each draw in a result."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from bijectors.base import Shape

from ...calls import check_arguments
from ...density.gathers import check_indices_of
from ...errors import ModelError
from ...models.inputs.stacked import are_several, models_in
from ...models.model import Model
from ...models.origins import translate_errors_of
from ...models.protocol.account import Account
from ...models.protocol.site import Dims
from ...models.protocol.surveyor import Surveyor
from ...models.protocol.undivided import find_undivided
from ...models.surroundings import renew
from ...models.survey import survey
from ..data.arviz import SET
from ..data.extended import add_groups
from .rowwise import Outline, Part, compute_part, list_priors, select_rows
from .same_groups import refuse_other_groups
from .source import read_draws


@check_arguments("infer.log_likelihood")
def log_likelihood(model: Model | Sequence[Model], data: Any) -> Any:
    """Add the log likelihood of each observation at each draw to a result.

    `arviz.loo` and `arviz.compare` read this group. A variable has the name of its observation,
    and one entry for each row, in nats: vectors that are one event, such as draws of a multivariate
    normal, are one row. Rows that NumPyro masks are 0. Entries that are missing
    (`site.observe(missing=...)`) are no rows; all rows of a plate with a minibatch are computed,
    without weights. Factors (`site.factor`) are not part of it.

    Draws go through one program in slices that need at most 16 MiB each for what is computed; two
    of them are in memory at a time. If one draw needs more, so do ranges of its rows, as long as no
    row depends on all others, as in a scan. So the memory needed beside the result itself depends
    neither on the number of draws nor on that of rows. `data.sel(draw=slice(None, None, 10))` makes
    the result a tenth as large.

    Args:
        model: What a front end returned; or several, as for `sample`. It may have other data than
            the posterior was made from, `model.with_data(y=held_out)`.
        data: ArviZ data with a posterior of the model, such as `sample` returned.

    Returns:
        ArviZ data with all groups of `data`, which itself is not changed, and `log_likelihood`; for
        several models its variables have the dimension `dataset`.

    Raises:
        ModelError: The model observes nothing, gives its log likelihood as one number only, or is
            a view that changes the likelihood, as a scale of NumPyro does; or the posterior does
            not fit the model.
    """
    return _add(model, data, "log_likelihood")


@check_arguments("infer.log_prior")
def log_prior(model: Model | Sequence[Model], data: Any) -> Any:
    """Add the log prior of each latent site at each draw to a result.

    Power-scaling, such as `arviz.psens` (`arviz.psense_summary` in ArviZ 1), reads this group. It
    is the log density of the constrained values, without the Jacobian of any map, in nats, with
    one entry for each row of a site. Sites with a flat prior have no entry, nor do frozen sites.
    The log prior of an `infer.declared` model is its log density less the sum of its `rows`.

    Args:
        model: What a front end returned; or several, as for `sample`.
        data: ArviZ data with a posterior of the model.

    Returns:
        ArviZ data with all groups of `data`, which itself is not changed, and `log_prior`.

    Raises:
        ModelError: A prior is known by its score alone, no latent site has a prior, or the model is
            a view that changes a prior, as a scale of NumPyro does; or the posterior does not fit
            the model.
    """
    return _add(model, data, "log_prior")


def _add(model: Model | Sequence[Model], data: Any, part: Part) -> Any:
    models = renew(models_in(model))
    outline = outline_part(models[0], part)
    check_indices_of(models)
    values = read_draws(_refuse_unless_result(data))
    refuse_other_groups(models[0], outline.sites, data)
    # A list of one model is sampled as that model.
    has_sets = are_several(model) and SET in data["posterior"].dims
    sets = len(models) if has_sets or len(models) > 1 else None
    refuse_misfit(outline.sites, values, sets)
    return add_groups(data, {part: compute_part(models, values, part, outline, sets)})


def _refuse_unless_result(data: Any) -> Any:
    if (hasattr(data, "groups") or isinstance(data, Mapping)) and "posterior" in data:
        return data
    raise ModelError(
        "data",
        f"a {type(data).__name__} without a posterior is no result that can be extended",
        "Give ArviZ data with a posterior, as infer.sample or Approximation.sample return.",
    )


def outline_part(model: Model, part: Part) -> Outline:
    """Find the variables of a group by one abstract run, or refuse it; compiles nothing.

    Raises:
        ModelError: See `log_likelihood` and `log_prior`.
    """
    survey(model)
    found: list[Outline] = []

    def abstract_run() -> None:
        account = model.run(Surveyor(model.rules))
        _refuse_views(account, part)
        _refuse_scaled(account, part)
        (_refuse_likelihood if part == "log_likelihood" else _refuse_prior)(account)
        selected = select_rows(account, part)
        sites = {d.name: d.shape for d in account.declarations}
        dims = {name: _name_axes(account, name, rows.shape) for name, rows in selected.items()}
        kinds = {n: jax.ShapeDtypeStruct(a.shape, a.dtype) for n, a in selected.items()}
        found.append(Outline(sites, dims, kinds))

    with translate_errors_of(model):
        jax.eval_shape(abstract_run)
    return found[0]


def _name_axes(account: Account, name: str, rows: Shape) -> Dims:
    """Name the axes of rows after those of their site; entries that are missing are no rows."""
    values = account.observed | {n: image.value for n, image in account.images.items()}
    if name not in values:
        return (None,) * len(rows)
    if jnp.shape(values[name])[: len(rows)] == rows:
        return account.dims.get(name, (None,) * len(rows))[: len(rows)]
    return tuple(f"{name}_seen_{i}" for i in range(len(rows)))


def refuse_misfit(sites: Mapping[str, Shape], values: Mapping[str, Any], sets: int | None) -> None:
    """Raise if a posterior lacks sites of a model, or has them in other shapes."""
    lead = 2 if sets is None else 3
    for name, shape in sites.items():
        if name not in values:
            raise ModelError(
                name,
                "the posterior has no values of it",
                "Give the model that the posterior was made from; only its data may differ.",
            )
        found = np.shape(values[name])
        if found[lead:] != shape or sets and found[2:3] != (sets,):
            of = f" of each of {sets} models" if sets else ""
            raise ModelError(
                name,
                f"the posterior has it with shape {found}, including chains and draws, and the "
                f"model with {shape}{of}",
                "Give the models that were sampled, with data of the same groups; for several data "
                "sets a list of models, and for one of them data.sel(dataset=i).",
            )


def _refuse_views(account: Account, part: Part) -> None:
    role = part.removeprefix("log_")
    for name, power in account.powers.items():
        known = [float(f) for f in power.factors if not isinstance(f, Tracer)]
        if power.role in (role, "factor") and (known != [1.0] * len(power.factors)):
            raise ModelError(
                name,
                f"a view has changed this term, so its rows are not those of the {role}",
                "Give the model that the view is of.",
            )


def _refuse_scaled(account: Account, part: Part) -> None:
    for term in account.terms:
        if term.role == part.removeprefix("log_") and term.is_scaled:
            raise ModelError(
                term.name,
                f"its {part.replace('_', ' ')} may be multiplied, by numpyro.handlers.scale or a "
                "plate of which only some rows are used, so its rows are not those of the model "
                "without the scale",
                "Give the model without the scale, or with all rows; a posterior of the scaled "
                "model is accepted. A scale of ones must be a number or an array of NumPy.",
            )


def _refuse_likelihood(account: Account) -> None:
    terms = {t.name: t.rows for t in account.terms if t.role == "likelihood"}
    own = {name: a for name, a in terms.items() if name not in account.observed}
    for name, rows in (own if account.rows is None else account.rows()).items():
        if rows.ndim == 0:
            raise ModelError(
                name,
                "it is one number, and the log likelihood of each row is needed",
                "Return an array with one entry for each observation, which is summed; or give "
                "rows=, a function that returns it.",
            )
    if not terms and account.rows is None:
        factors = [term.name for term in account.terms if term.role == "factor"]
        raise ModelError(
            factors[0] if factors else "model",
            "no term of the log density is a likelihood of observations"
            + (", only a factor, which may hold anything" if factors else ""),
            "Declare observations by site.observe; give infer.declared rows=, a function that "
            "returns the log likelihood of each row.",
        )


def _refuse_prior(account: Account) -> None:
    terms = list_priors(account)
    for term in terms:
        if not term.has_value:
            raise ModelError(
                term.name,
                "its prior is known by its score alone, so its log density has no value",
                "Use a prior with a log density.",
            )
    if not terms and not find_undivided(account):
        raise ModelError(
            "model",
            "no latent site has a prior of its own",
            "Declare priors; give infer.declared rows=, a function that returns the log likelihood "
            "of each row, so that the rest of the log density is the prior.",
        )
