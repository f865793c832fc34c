"""A monotone rational-quadratic spline of the reals: a flexible map with a closed inverse."""

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

# Fractions of the interval's length and of a slope of one; they keep every logarithm moderate.
MIN_WIDTH = 1e-3
MIN_SLOPE = 1e-3
# Added before softplus, so that parameters of zero give slopes of one.
UNIT_SLOPE = math.log(math.expm1(1 - MIN_SLOPE))


class Bins(NamedTuple):
    """The quantities in the spline's formula, for each bin or for the bin of one number.

    Attributes:
        left: Unconstrained value at its left end.
        low: Constrained value there.
        width: Its length before the map.
        height: Its length after the map.
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
    position in it, x = low + height (s u^2 + d_0 u (1 - u)) / (s + (d_0 + d_1 - 2 s) u (1 - u)).
    The map and its first derivative are continuous. Any real parameters give an increasing map;
    zeros, the initial parameters, give the identity.
    Source: Durkan et al. (2019), Neural Spline Flows, equations 4 to 8.

    Attributes:
        widths: Logits of the lengths of the bins before the map.
        heights: The same after the map.
        slopes: Slopes at the inner knots before softplus is applied; at the ends the slope is 1.
        bound: End of the interval.
    """

    widths: Float[Array, "*batch bins"] | Float[np.ndarray, "*batch bins"]
    heights: Float[Array, "*batch bins"] | Float[np.ndarray, "*batch bins"]
    slopes: Float[Array, "*batch inner"] | Float[np.ndarray, "*batch inner"]
    bound: float = eqx.field(static=True)

    def __init__(self, bins: int = 8, bound: float = 5.0) -> None:
        """Make a spline that is initially the identity.

        Args:
            bins: Number of bins, each with three parameters.
            bound: Half the length of the interval outside which the map is the identity.

        Raises:
            BijectorError: There is no bin, there are too many for the minimum width, or the
                bound is not positive.
        """
        if not 1 <= bins < 1 / MIN_WIDTH or not bound > 0:
            raise BijectorError(
                "RationalQuadraticSpline",
                f"the number of bins is {bins} and the bound is {bound}",
                "Give 1 to 999 bins and a bound above zero.",
            )
        self.widths, self.heights, self.slopes = map(np.zeros, (bins, bins, bins - 1))
        self.bound = float(bound)

    @property
    def parameter_ndims(self) -> int:
        return 1

    def image(self, y: Float[Array, ""]) -> Image:
        inside = jnp.abs(y) <= self.bound
        # Outside, the formula is evaluated at zero and not used, so no gradient is NaN.
        value, log_slope = _evaluate(jnp.where(inside, y, 0), self._bins(y))
        return bijection(jnp.where(inside, value, y), jnp.where(inside, log_slope, 0))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        inside = jnp.abs(x) <= self.bound
        return jnp.where(inside, _invert(jnp.where(inside, x, 0), self._bins(x)), x)

    def _bins(self, like: Array) -> Bins:
        left, width = self._knots(cast_like(self.widths, like))
        low, height = self._knots(cast_like(self.heights, like))
        inner = MIN_SLOPE + softplus(cast_like(self.slopes, like) + UNIT_SLOPE)
        end = jnp.ones(1, like.dtype)
        slopes = jnp.concatenate([end, inner, end])
        return Bins(left, low, width, height, slopes[:-1], slopes[1:])

    def _knots(self, free: Float[Array, "bins"]) -> tuple[Array, Array]:
        """Return the left ends and lengths of the bins that divide [-bound, bound]."""
        shares = MIN_WIDTH + (1 - MIN_WIDTH * free.size) * jax.nn.softmax(free)
        inner = self.bound * (2 * jnp.cumsum(shares)[:-1] - 1)
        # The ends are exact, and lengths are differences of the rounded knots, so that value and
        # slope describe the same map.
        end = jnp.full(1, self.bound, free.dtype)
        knots = jnp.concatenate([-end, inner, end])
        return knots[:-1], jnp.diff(knots)


def _evaluate(y: Float[Array, ""], bins: Bins) -> tuple[Array, Array]:
    """Return value and log slope within the interval. Equations 4 and 5."""
    bin = _select(bins, bins.left, y)
    s, u = bin.height / bin.width, (y - bin.left) / bin.width
    middle = u * (1 - u)
    denominator = s + (bin.first + bin.last - 2 * s) * middle
    value = bin.low + bin.height * (s * u**2 + bin.first * middle) / denominator
    numerator = bin.last * u**2 + 2 * s * middle + bin.first * (1 - u) ** 2
    return value, 2 * jnp.log(s) + jnp.log(numerator) - 2 * jnp.log(denominator)


def _invert(x: Float[Array, ""], bins: Bins) -> Float[Array, ""]:
    """Solve a u^2 + b u + c = 0 for the position in the bin. Equations 6 to 8."""
    bin = _select(bins, bins.low, x)
    s, rise = bin.height / bin.width, x - bin.low
    excess = rise * (bin.first + bin.last - 2 * s)
    a = bin.height * (s - bin.first) + excess
    b = bin.height * bin.first - excess
    c = -s * rise
    # The root that is 0 if c is, without the cancellation in -b + sqrt(b^2 - 4 a c).
    return bin.left + bin.width * 2 * c / (-b - jnp.sqrt(b**2 - 4 * a * c))


def _select(bins: Bins, starts: Float[Array, "bins"], number: Float[Array, ""]) -> Bins:
    """Return the bin that contains a number: by a mask, whose gradient needs no scatter."""
    chosen = jnp.arange(starts.size) == jnp.sum(number >= starts[1:])
    return jax.tree.map(lambda each: jnp.where(chosen, each, 0).sum(), bins)
