"""A monotone rational-quadratic spline of the reals: a flexible map with formulae both ways."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..base import Elementwise, Image, bijection, cast_like
from ..elementary import softplus
from ..errors import BijectorError

# Of the whole interval, and of the slope of the identity: keeps every logarithm moderate.
LEAST_WIDTH = 1e-3
LEAST_SLOPE = 1e-3
# Where softplus must start, so that parameters of zero give slopes of one.
UNIT_SLOPE = math.log(math.expm1(1 - LEAST_SLOPE))


class Bins(NamedTuple):
    """What the formula asks of each bin, or of the one in which a number lies.

    Attributes:
        left: Unconstrained value at its left end.
        low: Constrained value there.
        width: Its extent before the map.
        height: Its extent after the map.
        first: Slope at its left end.
        last: Slope at its right end.
    """

    left: Float[Array, "*bins"]
    low: Float[Array, "*bins"]
    width: Float[Array, "*bins"]
    height: Float[Array, "*bins"]
    first: Float[Array, "*bins"]
    last: Float[Array, "*bins"]


class RationalQuadraticSpline(Elementwise):
    """A ratio of quadratics in each bin of [-bound, bound], and x = y outside it.

    With s the mean slope of a bin, d_0 and d_1 the slopes at its ends, and u in [0, 1] the
    place in it, x = low + height (s u^2 + d_0 u (1 - u)) / (s + (d_0 + d_1 - 2 s) u (1 - u)).
    The map and its first derivative are continuous. Its parameters are free: any real numbers
    give an increasing map, and zeros, with which it is made, the identity.
    Source: Durkan et al. (2019), Neural Spline Flows, equations 4 to 8.

    Attributes:
        widths: Widths of the bins before the map, before a softmax.
        heights: The same after the map.
        slopes: Slopes at the inner knots, before softplus; at the ends the slope is one.
        bound: Where the spline ends.
    """

    widths: Float[Array, "*batch bins"] | Float[np.ndarray, "*batch bins"]
    heights: Float[Array, "*batch bins"] | Float[np.ndarray, "*batch bins"]
    slopes: Float[Array, "*batch inner"] | Float[np.ndarray, "*batch inner"]
    bound: float = eqx.field(static=True)

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        """Make the identity, to be learned from there.

        Args:
            bins: Number of bins, each with three parameters.
            bound: Half the length of the interval that is bent.

        Raises:
            BijectorError: There is no bin, or so many that none has its least width; or the
                bound is not positive.
        """
        if not 1 <= bins < 1 / LEAST_WIDTH or not bound > 0:
            raise BijectorError(
                "RationalQuadraticSpline",
                f"it has {bins} bins and the bound {bound}",
                "Give 1 to 999 bins and a bound above zero.",
            )
        self.widths, self.heights, self.slopes = map(np.zeros, (bins, bins, bins - 1))
        self.bound = float(bound)

    @property
    def parameter_ndims(self) -> int:
        return 1

    def image(self, y: Float[Array, ""]) -> Image:
        bent = jnp.abs(y) <= self.bound
        # Outside, the formula is computed at zero and not used, so no gradient is NaN.
        value, log_slope = _bend(jnp.where(bent, y, 0), self._bins(y))
        return bijection(jnp.where(bent, value, y), jnp.where(bent, log_slope, 0))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        bent = jnp.abs(x) <= self.bound
        return jnp.where(bent, _unbend(jnp.where(bent, x, 0), self._bins(x)), x)

    def _bins(self, like: Array) -> Bins:
        left, width = self._knots(cast_like(self.widths, like))
        low, height = self._knots(cast_like(self.heights, like))
        inner = LEAST_SLOPE + softplus(cast_like(self.slopes, like) + UNIT_SLOPE)
        end = jnp.ones(1, like.dtype)
        slopes = jnp.concatenate([end, inner, end])
        return Bins(left, low, width, height, slopes[:-1], slopes[1:])

    def _knots(self, free: Float[Array, "bins"]) -> tuple[Array, Array]:
        """Left ends and lengths of the bins into which [-bound, bound] is divided."""
        shares = LEAST_WIDTH + (1 - LEAST_WIDTH * free.size) * jax.nn.softmax(free)
        inner = self.bound * (2 * jnp.cumsum(shares)[:-1] - 1)
        # The ends are exact, and lengths are those between knots as rounded: one map.
        end = jnp.full(1, self.bound, free.dtype)
        knots = jnp.concatenate([-end, inner, end])
        return knots[:-1], jnp.diff(knots)


def _bend(y: Float[Array, ""], bins: Bins) -> tuple[Array, Array]:
    """Value and log slope where the spline is bent. Equations 4 and 5."""
    bin = _pick(bins, bins.left, y)
    s, u = bin.height / bin.width, (y - bin.left) / bin.width
    middle = u * (1 - u)
    denominator = s + (bin.first + bin.last - 2 * s) * middle
    value = bin.low + bin.height * (s * u**2 + bin.first * middle) / denominator
    numerator = bin.last * u**2 + 2 * s * middle + bin.first * (1 - u) ** 2
    return value, 2 * jnp.log(s) + jnp.log(numerator) - 2 * jnp.log(denominator)


def _unbend(x: Float[Array, ""], bins: Bins) -> Float[Array, ""]:
    """Solve a u^2 + b u + c = 0 for the place in the bin. Equations 6 to 8."""
    bin = _pick(bins, bins.low, x)
    s, rise = bin.height / bin.width, x - bin.low
    excess = rise * (bin.first + bin.last - 2 * s)
    a = bin.height * (s - bin.first) + excess
    b = bin.height * bin.first - excess
    c = -s * rise
    # The root that is 0 where c is, free of the difference -b + sqrt(b^2 - 4 a c).
    return bin.left + bin.width * 2 * c / (-b - jnp.sqrt(b**2 - 4 * a * c))


def _pick(bins: Bins, starts: Float[Array, "bins"], number: Float[Array, ""]) -> Bins:
    """The bin in which a number lies: by a mask, whose gradient needs no scatter."""
    chosen = jnp.arange(starts.size) == jnp.sum(number >= starts[1:])
    return jax.tree.map(lambda each: jnp.where(chosen, each, 0).sum(), bins)
