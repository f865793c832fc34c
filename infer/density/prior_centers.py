"""Values of all sites at the means or the medians of their priors."""

from collections.abc import Sequence
from math import prod
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array

from bijectors.base import Image
from bijectors.registry import bijector_for
from bijectors.rule import Rules

from ..errors import ModelError
from ..models.model import Model
from ..models.priors.prior import Prior, strip_axes
from ..models.protocol.reader import Reader
from ..models.protocol.site import Declaration
from ..models.protocol.steps import Repeated, Steps
from ..numerics.keys import make_key
from ..programs.native import call_compiled
from .base import LogDensity

Center = Literal["mean", "median"]

# Draws for a median without a formula: their median is within 0.13 standard deviations of it,
# and within 0.33 for the fewest, which are for large sites.
MANY, FEW, ROOM = 101, 15, 2**22
_BY_TFP = (dist.Gamma, dist.Beta, dist.StudentT)


class PriorCenters(Reader):
    """Gives every site the center of its prior, given the centers of the sites before it."""

    def __init__(self, how: Center, key: Array, rules: Rules) -> None:
        self._how: Center = how
        self._key, self._count, self._rules = key, 0, rules

    def take(self, declaration: Declaration) -> Image:
        return Image.of(_find_center(declaration, self._how, self._next_key(), self._rules))

    def steps(self, repeated: Sequence[Repeated], length: int, reverse: bool) -> Steps:
        keys = jax.random.split(self._next_key(), length)
        for_step = lambda key: PriorCenters(self._how, key, self._rules)  # noqa: E731
        return Steps(keys, for_step, lambda _: None, lambda *_: None)

    def _next_key(self) -> Array:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)


def find_prior_centers(density: LogDensity, how: Center) -> dict[str, np.ndarray]:
    """Return the values of the latent sites at the centers of their priors, by name.

    Raises:
        ModelError: A prior has no mean, or there is no prior; the message names the site.
    """
    # The draws must not depend on the user's own setting.
    with jax.threefry_partitionable(True):
        found = call_compiled(_run, density.model, static=(how,), form="fast_compile")
    for site in density.latent:
        if not np.isfinite(found[site.name]).all():
            raise ModelError(
                site.name,
                f'starts="{how}", and its prior, a {site.prior}, has no {how}',
                f'Use starts="{"median" if how == "mean" else "prior"}", or give a value: '
                f'starts={{"{site.name}": ...}}.',
            )
    return {site.name: np.asarray(found[site.name]) for site in density.latent}


def _run(how: Center, model: Model) -> dict[str, Array]:
    return model.run(PriorCenters(how, make_key(0), model.rules)).values()


def _find_center(declaration: Declaration, how: Center, key: Array, rules: Rules) -> Array:
    """Return the mean or the median of a site's prior, given the sites before it.

    The median is that of each number for itself. If the prior has no formula for it, it is the
    value at the median of the unconstrained coordinates of draws, which lies in the site's set;
    NumPyro's `init_to_median` takes the median of 15 draws.

    Args:
        declaration: The site.
        how: Which of the two.
        key: For the draws.
        rules: The rules by which sets choose their maps.

    Returns:
        The value, shape (*batch_shape, *event_shape); not finite if the prior has no mean.

    Raises:
        ModelError: The site has no prior, or the prior no formula for its mean and no draws.
    """
    d, prior = declaration, declaration.prior
    if prior is None:
        raise _explain(d, how, "it has a constraint and no prior")
    if not prior.has_value:
        raise _explain(d, how, "its prior is known by its score alone")
    found = _mean(prior) if how == "mean" else _quantile(prior)
    if found is None and how == "mean":
        kind = type(strip_axes(prior.distribution)).__name__
        raise ModelError(
            d.name,
            f'starts="mean", and its prior, a {kind}, has no formula for its mean',
            f'Use starts="median" or "prior", or give a value: starts={{"{d.name}": ...}}.',
        )
    found = _median_of_draws(d, prior, key, rules) if found is None else found
    return jnp.broadcast_to(found, d.shape).astype(float)


def _explain(declaration: Declaration, how: Center, found: str) -> ModelError:
    name = declaration.name
    return ModelError(
        name,
        f'starts="{how}", but {found}',
        f'Use starts="uniform", or give a value: starts={{"{name}": ...}}.',
    )


def _mean(prior: Prior) -> Array | None:
    try:
        return jnp.asarray(prior.distribution.mean)
    except NotImplementedError:
        return None


def _quantile(prior: Prior) -> Array | None:
    """Return the median by a formula; None if there is none."""
    bare = strip_axes(prior.distribution)
    if isinstance(bare, dist.StudentT):
        return jnp.asarray(bare.loc)
    # NumPyro takes their formulas from TFP, whose import takes seconds and may fail.
    if bare.event_shape or isinstance(getattr(bare, "base_dist", bare), _BY_TFP):
        return None
    try:
        return jnp.asarray(bare.icdf(jnp.full(bare.batch_shape, 0.5)))
    except NotImplementedError:
        return None


def _median_of_draws(d: Declaration, prior: Prior, key: Array, rules: Rules) -> Array:
    bijector = bijector_for(d.constraint, d.shape, d.bijector, rules, d.name)
    count = MANY if MANY * prod(d.shape) < ROOM else FEW

    def draw(key: Array) -> Array:
        return bijector.inverse(jnp.broadcast_to(prior.sample(key), d.shape).astype(float))

    try:
        draws = jax.vmap(draw)(jax.random.split(key, count))
    except NotImplementedError as error:
        kind = type(strip_axes(prior.distribution)).__name__
        found = f"its prior, a {kind}, has no formula for its median and cannot be drawn from"
        raise _explain(d, "median", found) from error
    return bijector.image(jnp.median(draws, 0)).value
