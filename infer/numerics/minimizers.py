"""Minimizers of optimistix as optimizers of optax, so that a search takes either."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from .namespace import Flag, Vector


class Minimizing(NamedTuple):
    """The state of a minimizer of optimistix.

    Attributes:
        state: Its own state; a pytree of arrays.
        is_done: Whether its own rule has ended the search, with success.
    """

    state: Any
    is_done: Flag


def is_optimizer(optimizer: Any) -> bool:
    """Return whether an object is an optimizer of optax or a minimizer of optimistix."""
    return isinstance(optimizer, optax.GradientTransformation) or _is_minimizer(optimizer)


def is_exact(optimizer: Any) -> bool:
    """Return whether an optimizer compares losses, and so takes no estimates of them."""
    return isinstance(optimizer, str) or _is_minimizer(optimizer)


def _is_minimizer(optimizer: Any) -> bool:
    """Return whether an object has the methods of an `optimistix.AbstractMinimiser`."""
    return all(hasattr(optimizer, name) for name in ("step", "terminate", "postprocess"))


def as_transformation(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer of optax, or a minimizer of optimistix, as one of optax.

    A step of a minimizer evaluates the loss itself, by `value_fn`.
    """
    if not _is_minimizer(optimizer):
        return optax.with_extra_args_support(optimizer)

    def begin(position: Vector) -> Minimizing:
        shape = jax.ShapeDtypeStruct((), position.dtype)
        blank = lambda _, __: (jnp.zeros((), position.dtype), None)  # noqa: E731
        state = optimizer.init(blank, position, None, {}, shape, None, frozenset())
        return Minimizing(jax.tree.map(jnp.asarray, state), jnp.asarray(False))

    def update(
        updates: Vector, state: Minimizing, params: Vector, *, value_fn: Any, **_: Any
    ) -> tuple[Vector, Minimizing]:
        import optimistix

        def loss(position: Vector, _: None) -> tuple[Any, None]:
            return value_fn(position), None

        own = loss, params, None, {}, state.state, frozenset()
        position, after, _ = optimizer.step(*own)
        ended, result = optimizer.terminate(loss, position, None, {}, after, frozenset())
        is_done = ended & (result == optimistix.RESULTS.successful)
        return position - params, Minimizing(jax.tree.map(jnp.asarray, after), is_done)

    # optax calls them with these arguments alone.
    return optax.GradientTransformationExtraArgs(begin, update)  # pyright: ignore[reportArgumentType]


def has_ended(state: Any) -> Flag:
    """Return whether a minimizer's own rule ended the search at the present position."""
    return state.is_done if isinstance(state, Minimizing) else jnp.asarray(False)
