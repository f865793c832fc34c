"""A network that reads one vector and says how each number of another is to be mapped."""

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
    """A map of single numbers for each of several, its parameters moved by a network.

    Attributes:
        transformer: The maps while the network is silent; its leaves have a leading axis, a
            row for each number.
        network: From the vector that is read to what is added to those leaves, row by row.
    """

    transformer: Bijector
    network: Function

    def maps(self, read: Float[Array, "n"]) -> Bijector:
        """Return the maps as one tree whose leaves have a leading axis, in the dtype of `read`."""
        own = jax.tree.map(lambda leaf: cast_like(leaf, read), self)
        leaves, structure = jax.tree.flatten(own.transformer)
        moves = own.network(read).reshape(leaves[0].shape[0], -1)
        moved, start = [], 0
        for leaf in leaves:
            end = start + math.prod(leaf.shape[1:])
            moved.append(leaf + moves[:, start:end].reshape(leaf.shape))
            start = end
        return jax.tree.unflatten(structure, moved)


def forward_each(maps: Bijector, y: Float[Array, "n"]) -> tuple[Array, Float[Array, ""]]:
    """Map every number by its own map; sum the log-determinants."""
    images = jax.vmap(lambda each, y: each.image(y))(maps, y)
    return images.value, images.log_det.sum()


def inverse_each(maps: Bijector, x: Float[Array, "n"]) -> Float[Array, "n"]:
    """Map every number back by its own map."""
    return jax.vmap(lambda each, x: each.inverse(x))(maps, x)


def spread(transformer: Bijector, count: int, where: str) -> Bijector:
    """Give each of `count` numbers a map of its own, each a copy of `transformer`.

    Raises:
        BijectorError: The transformer is no map of single numbers, or has nothing to learn.
    """
    if transformer.event_ndims or not jax.tree.leaves(transformer):
        raise BijectorError(
            where,
            f"the transformer is {transformer!r}",
            "Give a map of single numbers whose leaves may be any real numbers, such as "
            "BoundedAffine() or RationalQuadraticSpline().",
        )
    return jax.tree.map(
        lambda leaf: jnp.tile(jnp.asarray(leaf, float), (count,) + (1,) * jnp.ndim(leaf)),
        transformer,
    )


def parameters(transformer: Bijector) -> int:
    """Count the parameters of one map."""
    return sum(jnp.size(leaf) for leaf in jax.tree.leaves(transformer))


class _Leafless(eqx.Module):
    """A function that is no leaf of the tree: every leaf of a flow is an array to learn."""

    function: Function = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return self.function(x)


def _unchanged(x: Array) -> Array:
    return x


def silent_network(
    sizes: tuple[int, int],
    width: int,
    depth: int,
    activation: Function,
    key: PRNGKeyArray,
    where: str,
) -> eqx.nn.MLP:
    """Make a network whose last layer is zero and without a bias, so that it adds nothing yet.

    Args:
        sizes: Lengths of the vector it reads and of what it returns.
        width: Length of each hidden layer.
        depth: Number of hidden layers.
        activation: Applied to every hidden number.
        key: Random key of the hidden layers.
        where: Name to give in errors.

    Raises:
        BijectorError: There is no width, or a negative depth.
    """
    if width < 1 or depth < 0:
        found = f"the network has width {width} and depth {depth}"
        raise BijectorError(where, found, "Give a width of at least 1 and a depth of at least 0.")
    network = eqx.nn.MLP(
        *sizes, width, depth,
        activation=_Leafless(activation), final_activation=_Leafless(_unchanged),
        use_final_bias=False, key=key,
    )  # fmt: skip
    return eqx.tree_at(lambda n: n.layers[-1].weight, network, replace_fn=jnp.zeros_like)
