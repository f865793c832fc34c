"""Draw the discrete sites that were summed out, given each draw of the posterior."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from ...calls import check_arguments
from ...errors import ModelError
from ...models.abstract import run_abstractly
from ...models.model import Model
from ...models.origins import translate_errors_of
from ...models.protocol.account import Account
from ...models.protocol.site import Site
from ...models.readers import KnownValues
from ...models.surroundings import renew
from ...models.survey import refuse_unless_model
from ...numerics.keys import read_key_data, wrap_key
from ...programs.memory import count_peak_bytes
from ...programs.native import call_compiled
from ...programs.slices import call_in_slices, choose_rows_for
from ...types import ProgramSignature, signature_of
from ..data.extended import add_groups
from .joined import Made, join
from .pointwise import refuse_misfit
from .simulate import Arrays, as_jax_type
from .site_draws import flatten_draws
from .source import Source, pair_with_models, read_source


@check_arguments("infer.recover")
def recover(
    model: Model | Sequence[Model],
    posterior: Any,
    *,
    draws: int | None = None,
    key: int | Array = 0,
) -> Any:
    """Draw the discrete sites that were summed out, one value for each draw of the posterior.

    The draws are exact: from the distribution of the discrete sites given the data and the draw of
    all continuous sites. States of a `site.scan` are drawn backward, from the last one. Draws go
    through one program in slices, so the memory needed beside the result does not depend on their
    number.

    Args:
        model: What a front end returned, with sites declared by `sum_out=True`, or by
            `infer={"enumerate": "parallel"}` in NumPyro; or several models, as for `sample`.
        posterior: What `predict` takes: ArviZ data with a posterior of this model, an
            `Approximation`, an `Optimum`, or arrays by name with leading axes of chains and draws.
        draws: Number of draws of an `Approximation` or for an `Optimum`, by default 1000.
        key: A seed or a JAX key.

    Returns:
        ArviZ data with all groups of `posterior`, which itself is not changed. The group
        `posterior` has the discrete sites too, and the derived sites that depend on them.
        `predict` takes them from there.

    Raises:
        ModelError: The model has no such site or is a view, or the posterior does not fit it.
    """
    source = read_source(posterior, draws, key)
    sets, each = pair_with_models(model, source, key)
    made = join((_recover_one(*own) for own in each), sets)["posterior"]
    old = source.groups.get("posterior")
    if old is None:
        return add_groups(source.given, {"posterior": made})
    labels = {name: old[name] for name in ("chain", "draw") if name in old.coords}
    new = made.assign_coords(labels)
    return add_groups(source.given, {"posterior": old.assign(dict(new.data_vars))})


def _recover_one(model: Model, source: Source, key: int | Array) -> Made:
    refuse_unless_model(model)
    (model,) = renew([model])
    sites = run_abstractly(model).sites
    _refuse_without_summed(sites)
    _refuse_changed(model, sites, source.values)
    latent = {site.name: site.shape for site in sites if site.role == "latent"}
    refuse_misfit(latent, source.values, None)
    (chains, draws), root = source.lead, read_key_data(key)
    values = {name: flatten_draws(source.values[name]) for name in latent}
    first = {name: as_jax_type(a[:1])[0] for name, a in values.items()}
    account, needed = _trace(signature_of((model, first, root)))

    def call(rows: tuple[Arrays, np.ndarray]) -> dict[str, Array]:
        own = {name: as_jax_type(a) for name, a in rows[0].items()}
        return call_compiled(_draw_all, model, own, root, rows[1])

    size = min(choose_rows_for(needed), chains * draws)
    found = call_in_slices(call, (values, np.arange(chains * draws, dtype=np.uint32)), size)
    given = {} if source.given is not None else {n: np.asarray(source.values[n]) for n in latent}
    arrays = {n: a.reshape(chains, draws, *a.shape[1:]) for n, a in found.items()}
    return Made({"posterior": given | arrays}, {}, account.dims, {}, model.labels.coords)


def _refuse_without_summed(sites: Sequence[Site]) -> None:
    if not any(site.role == "summed" for site in sites):
        raise ModelError(
            "model",
            "none of its sites is summed out, so there is nothing to draw",
            "Declare a discrete site with site(name, prior, sum_out=True).",
        )


def _refuse_changed(model: Model, sites: Sequence[Site], values: Mapping[str, Any]) -> None:
    """Raise if the draws would not be of the posterior that the values are of."""
    if model.powers():
        raise ModelError(
            "model",
            "it is a view, whose terms have the discrete sites summed out already; the draws would "
            "be those of the whole posterior",
            "Give the model that the view is of, if the draws are to be given all of the data.",
        )
    held = next((s.name for s in sites if s.role == "frozen" and s.name in values), None)
    if held is not None:
        raise ModelError(
            held,
            "the posterior has draws of it, and the model holds it at a value",
            "Give the model that was sampled.",
        )


@lru_cache(maxsize=8)
def _trace(signature: ProgramSignature) -> tuple[Account, int]:
    """Trace one draw; return its account, and the memory that it needs in bytes."""
    model, first, root = signature.outline()
    found: list[Account] = []

    def one(model: Model, values: Mapping[str, Any], root: Array) -> dict[str, Array]:
        drawn, account = _draw_one(model, values, wrap_key(root))
        found.append(account)
        return drawn

    with translate_errors_of(model):
        program = jax.make_jaxpr(one)(model, first, root)
    own = sum(int(np.prod(a.shape)) * a.dtype.itemsize for a in first.values())
    return found[0], own + count_peak_bytes(program)


def _draw_all(
    model: Model, values: Mapping[str, Any], root: Array, rows: Array
) -> dict[str, Array]:
    def one(values: Mapping[str, Any], row: Array) -> dict[str, Array]:
        return _draw_one(model, values, jax.random.fold_in(wrap_key(root), row))[0]

    return jax.vmap(one)(values, rows)


def _draw_one(
    model: Model, values: Mapping[str, Any], key: Array
) -> tuple[dict[str, Array], Account]:
    """Draw the discrete sites given the continuous ones.

    Sites outside of scans are drawn first; then the model runs with their values, for the states of
    its scans; and last with all values, for the derived sites that depend on them.
    """
    account = model.run(KnownValues(values))
    known, found = set(account.derived), {}
    while account.summed:
        key, own = jax.random.split(key)
        for i, draw in enumerate(account.draws):
            found |= draw(jax.random.fold_in(own, i))
        account = model.run(KnownValues({**values, **found}))
    return found | {n: a for n, a in account.derived.items() if n not in known}, account
