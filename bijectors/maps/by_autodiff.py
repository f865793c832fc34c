"""A map of numbers defined by a monotone forward function alone."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..base import Elementwise, Image, bijection

# These take a bracket of 2 * 10^6 down to the last bit of a double near one.
BISECTIONS = 75


class Monotone(Elementwise):
    """x = function(y), a smooth monotone function of one number.

    The log-determinant is log|function'(y)|, by autodiff. The inverse is found by bisection and
    is valid for |y| < 10^6. A map with formulas for both is faster and has a larger domain.
    """

    function: Callable[[Array], Array] = eqx.field(static=True)

    def image(self, y: Float[Array, ""]) -> Image:
        value, slope = jax.jvp(self.function, (y,), (jnp.ones_like(y),))
        return bijection(value, jnp.log(jnp.abs(slope)))

    def inverse(self, x: Float[Array, ""]) -> Float[Array, ""]:
        is_increasing = self.function(jnp.ones_like(x)) > self.function(jnp.zeros_like(x))

        def bisect(_, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = bracket
            middle = 0.5 * (low + high)
            above = (self.function(middle) > x) == is_increasing
            return jnp.where(above, low, middle), jnp.where(above, middle, high)

        ends = (jnp.full_like(x, -1e6), jnp.full_like(x, 1e6))
        low, high = jax.lax.fori_loop(0, BISECTIONS, bisect, ends)
        return 0.5 * (low + high)
