"""Differentiate a log density, and name the term that reverse mode cannot differentiate."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp

from ..errors import ModelError
from ..models.changes.differentiate import GradientMode
from ..types import Scalar, Vector

# How the message begins that JAX raises for such a loop.
_NO_REVERSE = "Reverse-mode differentiation does not work for lax.while_loop"


@runtime_checkable
class Terms(Protocol):
    """A log density that can be evaluated term by term."""

    @property
    def size(self) -> int: ...

    def terms(self, position: Vector) -> dict[str, Scalar]: ...


def value_and_gradient(
    function: Callable[..., Scalar], mode: GradientMode
) -> Callable[..., tuple[Scalar, Vector]]:
    """Return a function that computes a function of a vector, and its gradient.

    Args:
        function: Takes the vector, shape (size,), and maybe further arguments.
        mode: "reverse", "forward", or `None`, for which the gradient is NaN.
    """
    if mode == "reverse":
        return jax.value_and_grad(function)

    def forward(position: Vector, *others: Any) -> tuple[Scalar, Vector]:
        one = lambda q: function(q, *others)  # noqa: E731
        along = lambda direction: jax.jvp(one, (position,), (direction,))  # noqa: E731
        basis = jnp.eye(position.size, dtype=position.dtype)
        return jax.vmap(along, out_axes=(None, 0))(basis)

    def valued(position: Vector, *others: Any) -> tuple[Scalar, Vector]:
        return function(position, *others), jnp.full_like(position, jnp.nan)

    return forward if mode == "forward" else valued


@contextmanager
def naming_looping_term(density: Terms) -> Iterator[None]:
    """Translate JAX's error about a loop without a gradient into one that names the term.

    Raises:
        ModelError: A term runs a loop that reverse mode cannot differentiate.
    """
    try:
        yield
    except ValueError as error:
        if not str(error).startswith(_NO_REVERSE):
            raise
        raise ModelError(
            "while_loop",
            f"{_find_looping_term(density)} has no gradient: it runs such a loop, or a "
            "jax.lax.fori_loop whose bounds are traced, and reverse mode needs to know the number "
            "of steps",
            "Use jax.lax.scan, or jax.lax.fori_loop with integer bounds; infer.static(n) "
            "turns a data value into such an integer, and jnp.where in the body stops early. Or "
            'differentiate in forward mode, model.with_gradient("forward"), at the cost of one '
            "evaluation for each coordinate; or use infer.Slice(), which needs no gradient.",
        ) from error


def _find_looping_term(density: Terms) -> str:
    """Name the first term without a gradient, by differentiating each one abstractly."""
    position = jnp.zeros(density.size)
    # JAX would compare a bound method by the arrays of its density, which may be traced.
    for name in jax.eval_shape(lambda q: density.terms(q), position):
        try:
            jax.eval_shape(jax.grad(lambda q, name=name: density.terms(q)[name]), position)
        except ValueError:
            return name
    return "log density"
