"""The latent sites inside a scan of NumPyro, which are found before it runs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.core import Tracer
from jaxtyping import Array
from numpyro.contrib.control_flow.scan import scan_wrapper
from numpyro.distributions.distribution import (
    Delta,
    ExpandedDistribution,
    Independent,
    MaskedDistribution,
)
from numpyro.handlers import scope
from numpyro.primitives import _PYRO_STACK

from bijectors.base import Constraint, Shape

from ....errors import ModelError
from ...priors.prior import Prior

Message = dict[str, Any]
Draw = Callable[[Array], Mapping[str, Array]]


class Series(NamedTuple):
    """A latent site of a scan for all steps, with the axis of steps in front.

    Attributes:
        inner_name: Name of the site inside the scan, without the scopes around the scan.
        message: Name, plates and hints of the site, as in NumPyro's message.
        constraint: Set of its values.
        prior: Distribution of the whole series, which can only be drawn from.
    """

    inner_name: str
    message: Message
    constraint: Constraint
    prior: dist.Distribution


def find_series(flow: Message) -> list[Series]:
    """Find the latent sites of a control flow by running it once abstractly.

    Raises:
        ModelError: It is a `cond` with latent sites, or a support is computed inside.
        BijectorError: A latent site is discrete, or its support has no translation.
    """
    found: dict[str, Series] = {}
    draw = _draw_together(flow)
    around = [handler for handler in reversed(_PYRO_STACK) if isinstance(handler, scope)]

    def note(site: Message) -> Array | None:
        if not _is_open(site) or _is_exact(site):
            return _exact_value(site)
        found[site["name"]] = _series(flow, site, draw, around)
        return jnp.zeros(spread(site).shape())

    def abstract_run() -> None:
        flow["fn"](*flow["args"], **_with(flow, substitute=note))

    jax.eval_shape(abstract_run)
    return list(found.values())


def substitute_series(flow: Message, values: Mapping[str, Array]) -> None:
    """Make each step of a scan read its part of the series, by their inner names."""

    def give(site: Message) -> Array | None:
        return values.get(site["name"], _exact_value(site))

    flow["kwargs"]["substitute_stack"].append(("substitute", give))


def bare(fn: dist.Distribution) -> dist.Distribution:
    """Strip the wrappers of a distribution, masks included."""
    while isinstance(fn, ExpandedDistribution | Independent | MaskedDistribution):
        fn = fn.base_dist
    return fn


def spread(site: Message) -> dist.Distribution:
    """Turn `sample_shape` into batch axes, as plates do."""
    return site["fn"].expand_by(site["kwargs"].get("sample_shape", ()))


def _is_open(site: Message) -> bool:
    return site["type"] == "sample" and site["value"] is None


def _is_exact(site: Message) -> bool:
    return isinstance(bare(site["fn"]), Delta)


def _exact_value(site: Message) -> Array | None:
    """Return the value of a site that has only one; NumPyro would require a key for it."""
    is_exact = _is_open(site) and _is_exact(site)
    return jnp.asarray(spread(site).sample(None)) if is_exact else None


def _with(flow: Message, substitute: Callable | None = None, **kwargs: Any) -> dict[str, Any]:
    """Copy the keyword arguments of a control flow, with one more handler or another key."""
    more = [] if substitute is None else [("substitute", substitute)]
    return flow["kwargs"] | {"substitute_stack": flow["kwargs"]["substitute_stack"] + more} | kwargs


def _series(flow: Message, site: Message, draw: Draw, around: list[scope]) -> Series:
    name, fn = site["name"], spread(site)
    if flow["fn"] is not scan_wrapper:
        raise ModelError(
            name,
            "a latent site is declared inside cond, whose branches may declare different sites",
            "Declare it before the cond, and use its value in the branches.",
        )
    constraint = Prior(fn, ()).constraint(name)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(constraint)):
        raise ModelError(
            name,
            f"its support {type(constraint).__name__} has bounds that are computed inside a scan",
            "Declare a site with fixed bounds in the scan, and shift or scale its value.",
        )
    _, _, xs, length, _ = flow["args"]
    steps = jax.tree.leaves(xs)[0].shape[0] if length is None else length
    prior = _DrawsOnly(lambda key: draw(key)[name], (steps, *fn.batch_shape), tuple(fn.event_shape))
    return Series(name, _named_outside(site, around), constraint, prior)


def _named_outside(site: Message, around: list[scope]) -> Message:
    """Name a site and its plates as the scopes around the scan do after it has run."""
    message = {"type": "sample"} | {key: site[key] for key in ("name", "cond_indep_stack")}
    for handler in around:
        handler.process_message(message)
    return message | {"infer": {"event_dims": site["infer"].get("event_dims", ())}}


class _DrawsOnly(dist.Distribution):
    """A distribution that can only be drawn from."""

    arg_constraints = {}

    def __init__(self, draw: Callable[[Array], Array], batch: Shape, event: Shape) -> None:
        self._draw = draw
        super().__init__(batch, event)

    def sample(self, key: Array | None, sample_shape: Shape = ()) -> Array:
        assert key is not None
        return self._draw(key).reshape(self.shape())


def _draw_together(flow: Message) -> Draw:
    """Return a function that draws all series at its first call, since steps depend on others."""
    drawn: dict[str, Array] = {}

    def draw(key: Array) -> Mapping[str, Array]:
        if not drawn:
            *_, is_reversed = flow["args"]
            _, (trace, _) = flow["fn"](*flow["args"], **_with(flow, rng_key=key))
            for name, site in trace.trace.items():
                drawn[name] = site["value"][::-1] if is_reversed else site["value"]
        return drawn

    return draw
