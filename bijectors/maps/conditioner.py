"""A network that computes, from one vector, the parameters of maps of several numbers."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ..base import Bijector, cast_like
from ..errors import BijectorError

Function = Callable[[Array], Array]


class Conditioner(eqx.Module):
    """Maps of several numbers, one map each, whose parameters depend on a vector.

    Attributes:
        transformer: The maps if the network returns zeros; its leaves have a leading axis with
            a row for each number.
        network: Maps the vector to what is added to those leaves, row by row.
    """

    transformer: Bijector
    network: Function

    def maps(self, inputs: Float[Array, "n"]) -> Bijector:
        """Return the maps as one tree whose leaves have a leading axis, in the inputs' dtype."""
        own = jax.tree.map(lambda leaf: cast_like(leaf, inputs), self)
        leaves, structure = jax.tree.flatten(own.transformer)
        shifts = own.network(inputs).reshape(leaves[0].shape[0], -1)
        shifted, start = [], 0
        for leaf in leaves:
            end = start + math.prod(leaf.shape[1:])
            shifted.append(leaf + shifts[:, start:end].reshape(leaf.shape))
            start = end
        return jax.tree.unflatten(structure, shifted)


def forward_each(maps: Bijector, y: Float[Array, "n"]) -> tuple[Array, Float[Array, ""]]:
    """Map each number by its own map; also return the sum of the log-determinants."""
    images = jax.vmap(lambda each, y: each.image(y))(maps, y)
    return images.value, images.log_det.sum()


def inverse_each(maps: Bijector, x: Float[Array, "n"]) -> Float[Array, "n"]:
    """Map each number back by its own map."""
    return jax.vmap(lambda each, x: each.inverse(x))(maps, x)


def replicate(transformer: Bijector, count: int, where: str) -> Bijector:
    """Copy a map of numbers `count` times, as one tree whose leaves have a leading axis.

    Raises:
        BijectorError: The transformer is not a map of numbers, or it has no parameters.
    """
    if transformer.event_ndims or not jax.tree.leaves(transformer):
        raise BijectorError(
            where,
            f"the transformer is {transformer!r}",
            "Give a map of numbers whose leaves may be any real numbers, such as "
            "BoundedAffine() or RationalQuadraticSpline().",
        )
    return jax.tree.map(
        lambda leaf: jnp.tile(jnp.asarray(leaf, float), (count,) + (1,) * jnp.ndim(leaf)),
        transformer,
    )


def count_parameters(transformer: Bijector) -> int:
    """Count the parameters of one map."""
    return sum(jnp.size(leaf) for leaf in jax.tree.leaves(transformer))


class _Leafless(eqx.Module):
    """A function that is not a leaf of the tree, since every leaf of a flow is to be learned."""

    function: Function = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return self.function(x)


def _identity(x: Array) -> Array:
    return x


def make_zero_network(
    sizes: tuple[int, int],
    width: int,
    depth: int,
    activation: Function,
    key: PRNGKeyArray,
    where: str,
) -> eqx.nn.MLP:
    """Make a network whose last layer is zero and has no bias, so that it returns zeros.

    Args:
        sizes: Lengths of its input and of its output.
        width: Length of each hidden layer.
        depth: Number of hidden layers.
        activation: Applied to every hidden unit.
        key: Random key of the hidden layers.
        where: Name for errors.

    Raises:
        BijectorError: The width is below one or the depth is negative.
    """
    if width < 1 or depth < 0:
        found = f"the network has width {width} and depth {depth}"
        raise BijectorError(where, found, "Give a width of at least 1 and a depth of at least 0.")
    network = eqx.nn.MLP(
        *sizes, width, depth,
        activation=_Leafless(activation), final_activation=_Leafless(_identity),
        use_final_bias=False, key=key,
    )  # fmt: skip
    return eqx.tree_at(lambda n: n.layers[-1].weight, network, replace_fn=jnp.zeros_like)
