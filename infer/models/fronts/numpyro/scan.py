"""The latent sites inside a scan of NumPyro, which are found before it runs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.core import Tracer
from jaxtyping import Array
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
from ...priors.continued import IN_REVERSE, SeriesPrior
from ...priors.prior import Prior

Message = dict[str, Any]


class HasStates(Exception):  # noqa: N818
    """Raised where a step of a scan declares a discrete site that is to be summed out."""


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
    prior: "JointPrior"


def find_series(flow: Message) -> list[Series]:
    """Find the latent sites of a scan by running it once abstractly.

    Raises:
        ModelError: A support is computed inside.
        BijectorError: A latent site is discrete, or its support has no translation.
        HasStates: A site of a scan is to be enumerated.
    """
    found: dict[str, Series] = {}
    draws = _JointDraws(flow)
    around = [handler for handler in reversed(_PYRO_STACK) if isinstance(handler, scope)]

    def note(site: Message) -> Array | None:
        if not _is_open(site) or _is_exact(site):
            return _exact_value(site)
        if site["infer"].get("enumerate") == "parallel":
            raise HasStates
        found[site["name"]] = _series(flow, site, draws, around)
        return jnp.zeros(spread(site).shape())

    def abstract_run() -> None:
        flow["fn"](*flow["args"], **_with(flow, substitute=note))

    try:
        jax.eval_shape(abstract_run)
    except AssertionError as error:
        if not flow["kwargs"]["substitute_stack"]:
            raise
        # NumPyro asserts that there is a key, with which to draw the other steps.
        raise ModelError(
            "scan",
            "numpyro.handlers.condition or substitute gives it values of fewer steps than it has",
            "Pass what was observed as obs= of the site in the step. To forecast, pass None and a "
            "number of steps: infer.predict(model.with_data(y=None, length=n), posterior).",
        ) from error
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


def _series(flow: Message, site: Message, draws: "_JointDraws", around: list[scope]) -> Series:
    name, fn = site["name"], spread(site)
    constraint = Prior(fn, ()).constraint(name)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(constraint)):
        raise ModelError(
            name,
            f"its support {type(constraint).__name__} has bounds that are computed inside a scan",
            "Declare a site with fixed bounds in the scan, and shift or scale its value.",
        )
    _, _, xs, length, _ = flow["args"]
    steps = jax.tree.leaves(xs)[0].shape[0] if length is None else length
    message = _named_outside(site, around)
    draws.inner_names[message["name"].replace("/", ".")] = name
    batch, event = (steps, *fn.batch_shape), tuple(fn.event_shape)
    return Series(name, message, constraint, JointPrior(draws, name, batch, event))


def _named_outside(site: Message, around: list[scope]) -> Message:
    """Name a site and its plates as the scopes around the scan do after it has run."""
    message = {"type": "sample"} | {key: site[key] for key in ("name", "cond_indep_stack")}
    for handler in around:
        handler.process_message(message)
    return message | {"infer": {"event_dims": site["infer"].get("event_dims", ())}}


class _JointDraws:
    """Draws of all series of a scan at once, since the steps of one may depend on another.

    Attributes:
        inner_names: Names of the series inside the scan, by the names of their sites.
    """

    def __init__(self, flow: Message) -> None:
        self._flow, self._drawn = flow, {}
        self.inner_names: dict[str, str] = {}

    def draw(self, key: Array, known: Mapping[str, Array]) -> Mapping[str, Array]:
        """Draw all series at the first call, and return them by their inner names.

        Args:
            key: A JAX key.
            known: Values of the first steps of some series, by the names of their sites.
        """
        *_, is_reversed = self._flow["args"]
        if not self._drawn:
            first = {inner: known[n] for n, inner in self.inner_names.items() if n in known}
            # NumPyro draws the steps that a substituted series does not have.
            kwargs = _with(self._flow, lambda site: first.get(site["name"]), rng_key=key)
            _, (trace, _) = self._flow["fn"](*self._flow["args"], **kwargs)
            for name, site in trace.trace.items():
                value = jnp.asarray(site["value"])
                if is_reversed and len(first.get(name, value)) != len(value):
                    raise ModelError(name, *IN_REVERSE)
                self._drawn[name] = value[::-1] if is_reversed else value
        return self._drawn


class JointPrior(SeriesPrior):
    """A series that is drawn together with the others of its scan; its density is not known."""

    def __init__(self, draws: _JointDraws, name: str, batch: Shape, event: Shape) -> None:
        super().__init__(_DrawsOnly(batch, event), batch)
        self._draws, self._name = draws, name

    def sample(self, key: Array) -> Array:
        return self.sample_after(key, {})

    def sample_after(self, key: Array, known: Mapping[str, Array]) -> Array:
        drawn = self._draws.draw(key, known)[self._name]
        return drawn.reshape(self.batch_shape + self.event_shape)


class _DrawsOnly(dist.Distribution):
    """Stands for a distribution of which only draws are known."""

    arg_constraints = {}

    def __init__(self, batch: Shape, event: Shape) -> None:
        super().__init__(batch, event)
