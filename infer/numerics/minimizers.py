"""Minimizers of optimistix as optimizers of optax, so that a search takes either."""

import sys
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from .namespace import Flag, Vector

# What is said of objects that are no optimizers.
OTHERS = (
    "A minimizer of optimistix must take vectors and have no arrays among its settings; its root "
    "finders and solvers of least squares would look for a log density of zero."
)


class Minimizing(NamedTuple):
    """The state of a minimizer of optimistix.

    Attributes:
        state: The arrays of its own state; a pytree.
        is_done: Whether its own rule has ended the search, with success.
    """

    state: Any
    is_done: Flag


def is_optimizer(optimizer: Any) -> bool:
    """Return whether an object is an optimizer of optax or a minimizer of optimistix.

    A minimizer whose settings are arrays is none, since programs are kept by their optimizer.
    """
    is_plain = not any(map(eqx.is_array, jax.tree.leaves(optimizer)))
    return isinstance(optimizer, optax.GradientTransformation) or (
        is_plain and _is_minimizer(optimizer)
    )


def is_exact(optimizer: Any) -> bool:
    """Return whether an optimizer compares losses, and so takes no estimates of them."""
    return isinstance(optimizer, str) or _is_minimizer(optimizer)


def _is_minimizer(optimizer: Any) -> bool:
    """Return whether an object is a minimizer of optimistix that takes a vector.

    Root finders and solvers of least squares have the same methods, but would look for a log
    density of zero. If there is such an object, optimistix has been imported.
    """
    known = sys.modules.get("optimistix")
    if known is None or isinstance(optimizer, known.GoldenSearch):
        return False
    return isinstance(optimizer, known.AbstractMinimiser)


def as_transformation(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """Return an optimizer of optax, or a minimizer of optimistix, as one of optax.

    A step of a minimizer evaluates the loss itself, by `value_fn`.
    """
    if not _is_minimizer(optimizer):
        return optax.with_extra_args_support(optimizer)

    def make_state(position: Vector) -> Any:
        shape = jax.ShapeDtypeStruct((), position.dtype)
        blank = lambda _, __: (jnp.zeros((), position.dtype), None)  # noqa: E731
        return optimizer.init(blank, position, None, {}, shape, None, frozenset())

    def begin(position: Vector) -> Minimizing:
        return Minimizing(_take_arrays(make_state(position)), jnp.asarray(False))

    def update(
        updates: Vector, state: Minimizing, params: Vector, *, value_fn: Any, **_: Any
    ) -> tuple[Vector, Minimizing]:
        import optimistix

        def loss(position: Vector, _: None) -> tuple[Any, None]:
            return value_fn(position), None

        # What is no array, such as a program of L-BFGS, is the same in every state.
        others = eqx.filter(make_state(params), eqx.is_array, inverse=True)
        before = eqx.combine(state.state, others)
        position, after, _ = optimizer.step(loss, params, None, {}, before, frozenset())
        ended, result = optimizer.terminate(loss, position, None, {}, after, frozenset())
        is_done = ended & (result == optimistix.RESULTS.successful)
        return position - params, Minimizing(_take_arrays(after), is_done)

    # optax calls them with these arguments alone.
    return optax.GradientTransformationExtraArgs(begin, update)  # pyright: ignore[reportArgumentType]


def _take_arrays(state: Any) -> Any:
    return jax.tree.map(jnp.asarray, eqx.filter(state, eqx.is_array))


def has_ended(state: Any) -> Flag:
    """Return whether a minimizer's own rule ended the search at the present position."""
    return state.is_done if isinstance(state, Minimizing) else jnp.asarray(False)
