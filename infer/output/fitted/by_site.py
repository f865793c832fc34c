"""Give sites optimizers of their own, such as other step sizes, in a search for a mode."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from ...calls import check_arguments
from ...density.family import make_family
from ...errors import ModelError
from ...models.inputs.names import join_names, match_names
from ...models.model import Model
from ...numerics.descent import asks_for_value
from ...types import Vector


@check_arguments("infer.optimize_by_site")
def optimize_by_site(
    model: Model,
    optimizers: Mapping[str, optax.GradientTransformation],
    otherwise: optax.GradientTransformation | None = None,
) -> optax.GradientTransformation:
    """Make one optax optimizer of several, each of which moves some of the sites.

    It is `optax.partition` by the names of the sites, for the flat vector that `MAP` moves:
    `infer.MAP("unconstrained", infer.optimize_by_site(model, {"scale": optax.adam(0.001)},
    optax.adam(0.1)))`. Optimizers with a line search, which need the loss of all sites together,
    cannot be parts of it. Keep the result for further calls: each new one compiles a new program.

    Args:
        model: The model that is to be searched.
        optimizers: Optax optimizers by the name of a latent site, or by a glob such as "layers.*".
        otherwise: The optimizer of all other sites; needed if there are any.

    Returns:
        An optax optimizer of the model's flat vector.

    Raises:
        ModelError: A name matches no latent site, two match one site, a site has no optimizer, or
            an optimizer needs the loss.
    """
    latent = make_family(model, jacobian=True).member(0).latent
    labels = _label_sites([site.name for site in latent], optimizers, otherwise is not None)
    named: Any = dict(optimizers) | ({} if otherwise is None else {"": otherwise})
    for name, optimizer in named.items():
        if asks_for_value(optimizer):
            raise ModelError(
                name or "otherwise",
                "its optimizer needs the loss, which all sites share",
                "Give one without a line search, such as optax.adam(0.05), or that one to "
                "infer.MAP for all sites.",
            )
    inner = optax.partition(named, labels)
    ends = np.cumsum([0, *(int(np.prod(site.unconstrained_shape)) for site in latent)])

    def split(vector: Vector) -> dict[str, Array]:
        # An engine tries on a vector of one number whether an optimizer needs the loss.
        if len(vector) not in (1, ends[-1]):
            raise ModelError(
                "optimize_by_site",
                f"the vector has {len(vector)} numbers, but that of this model {ends[-1]}",
                "Make the optimizer with the model that is searched.",
            )
        pairs = zip(ends[:-1], ends[1:], strict=True)
        return dict(zip(labels, (vector[a:b] for a, b in pairs), strict=True))

    def init(params: Any) -> Any:
        return inner.init(split(params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        here = None if params is None else split(params)
        steps: Any
        steps, state = inner.update(split(updates), state, here)
        return jnp.concatenate([steps[name] for name in labels]), state

    return optax.GradientTransformation(init, update)


def _label_sites(names: list[str], globs: Mapping[str, Any], has_rest: bool) -> dict[str, str]:
    """Return which glob matches each site, in the order of the sites; "" for none."""
    for glob in globs:
        if not match_names(glob, names):
            close = get_close_matches(glob, names, 1)
            raise ModelError(
                glob,
                f"an optimizer is given for it, but no latent site matches: they are "
                f"{join_names(names)}",
                f"Did you mean {close[0]!r}?" if close else "Name a latent site.",
            )
    matches = {name: [glob for glob in globs if match_names(glob, [name])] for name in names}
    for name, found in matches.items():
        if len(found) > 1:
            raise ModelError(
                name, f"it is matched by {join_names(found)}", "Give one optimizer for each site."
            )
        if not found and not has_rest:
            raise ModelError(
                name, "no optimizer is given for it", "Give otherwise=, such as optax.adam(0.05)."
            )
    return {name: found[0] if found else "" for name, found in matches.items()}
