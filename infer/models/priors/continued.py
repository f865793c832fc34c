"""Time series whose first steps are known: they continue from their last state."""

from abc import abstractmethod
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import GaussianRandomWalk

from .prior import Prior, strip_axes

# What is found, and how to mend it, if a series cannot go on from its last state.
IN_REVERSE = (
    "it is a series of a scan in reverse, which has other steps than the posterior, so no path can "
    "continue from its last state",
    "Write the scan forward, or draw whole new paths: name the site in redraw=[...].",
)


class SeriesPrior(Prior):
    """Distribution of a site at all steps of a scan, which is drawn together with other sites."""

    @abstractmethod
    def sample_after(self, key: Array, known: Mapping[str, Array]) -> Array:
        """Draw all steps, given the values of the first ones by the names of sites.

        Raises:
            ModelError: The scan runs in reverse.
        """


def series_axis(prior: Prior | None) -> int | None:
    """Return the axis of steps of a prior that can continue a series; `None` for any other."""
    if isinstance(prior, SeriesPrior):
        return 0
    is_walk = prior is not None and isinstance(strip_axes(prior.distribution), GaussianRandomWalk)
    return len(prior.batch_shape) if prior is not None and is_walk else None


def sample_after(prior: Prior, name: str, key: Array, known: Mapping[str, Array]) -> Array:
    """Draw a site, given the first steps of a series if its prior can continue it.

    Args:
        prior: Distribution of the whole site.
        name: Name of the site.
        key: A JAX key.
        known: Values of sites, or of their first steps, by name.
    """
    if isinstance(prior, SeriesPrior):
        return prior.sample_after(key, known)
    drawn = prior.sample(key)
    if name not in known or series_axis(prior) is None:
        return drawn
    # The increments of a random walk are independent of where it stands.
    first, steps = known[name], known[name].shape[-1]
    rest = first[..., -1:] + drawn[..., steps:] - drawn[..., steps - 1 : steps]
    return jnp.concatenate([first, rest], axis=-1)
