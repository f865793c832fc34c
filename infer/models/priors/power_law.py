"""NumPyro's truncated power law with right slopes, wherever it stands in a distribution."""

from copy import copy
from typing import Any

import jax.numpy as jnp
import numpyro.distributions as dist
from jax import Array


class DoublyTruncatedPowerLaw(dist.DoublyTruncatedPowerLaw):
    """The power law between two bounds; NumPyro 0.22 gives wrong slopes in the bounds."""

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        """Integrate x^alpha from low to high as low^(1 + alpha) log(high / low) (e^u - 1) / u."""
        value, alpha, low, high = map(jnp.asarray, (value, self.alpha, self.low, self.high))
        log_ratio = jnp.log(high) - jnp.log(low)
        u = (1 + alpha) * log_ratio
        # log((e^u - 1) / u) = u / 2 + u^2 / 24 - u^4 / 2880 + u^6 / 181440 - ...
        is_small = jnp.abs(u) < 0.03
        size = jnp.abs(jnp.where(is_small, 1.0, u))
        near = u / 2 + u**2 / 24 - u**4 / 2880
        far = (u + size) / 2 + jnp.log(-jnp.expm1(-size) / size)
        log_integral = jnp.log(log_ratio) + jnp.where(is_small, near, far)
        rows = alpha * jnp.log(value) - (1 + alpha) * jnp.log(low) - log_integral
        return jnp.where((value >= low) & (value <= high), rows, -jnp.inf)


def with_right_slopes(distribution: Any) -> Any:
    """Return a distribution with such power laws in the place of NumPyro's.

    They may be inside others: expanded, masked, censored, or components of a mixture. What has
    none, and what is no distribution of NumPyro, is returned as it is.
    """
    if type(distribution) is dist.DoublyTruncatedPowerLaw:
        made = copy(distribution)
        made.__class__ = DoublyTruncatedPowerLaw
        return made
    if not isinstance(distribution, dist.Distribution):
        return distribution
    parts = vars(distribution)
    mended = {name: _mend(part) for name, part in parts.items()}
    if all(mended[name] is part for name, part in parts.items()):
        return distribution
    made = copy(distribution)
    vars(made).update(mended)
    return made


def _mend(part: Any) -> Any:
    """Mend a distribution, or those of a list; a list without any is returned as it is."""
    if not isinstance(part, list | tuple):
        return with_right_slopes(part)
    found = [with_right_slopes(each) for each in part]
    is_same = all(new is old for new, old in zip(found, part, strict=True))
    return part if is_same else type(part)(found)
