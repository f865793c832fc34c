"""Import BlackJAX, in this file alone and only when an engine asks, and adapt our targets to it."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from ...errors import EngineError
from ...target import Target
from ...types import Scalar, Vector

EXTRA = "pushforward[blackjax]"


def library() -> Any:
    """Import BlackJAX.

    Raises:
        EngineError: It is not installed, or cannot be imported.
    """
    try:
        import blackjax
        import blackjax.smc.resampling
    except ImportError as error:
        raise EngineError(
            "BlackJAX",
            f"the library cannot be imported: {error}",
            f"Install it: pip install '{EXTRA}'.",
        ) from error
    return blackjax


def as_log_density(target: Target, origin: Vector, scale: Vector) -> Callable[[Vector], Scalar]:
    """Return a target as BlackJAX takes it: a function of a displacement in whitened units.

    A transition that begins at displacement 0 needs no inverse of the whitening, and a rejected
    proposal leaves a chain where it was, bit for bit. The gradient is the target's own, computed
    together with the value.

    Args:
        target: The log density.
        origin: The position at displacement 0.
        scale: Length of a whitened unit of each coordinate, in model units.
    """
    return lambda moved: _log_density(moved, target=target, origin=origin, scale=scale)


@eqx.filter_custom_jvp
def _log_density(moved: Vector, *, target: Target, origin: Vector, scale: Vector) -> Scalar:
    return target.evaluate(origin + scale * moved)[0]


@_log_density.def_jvp
def _change(
    primals: tuple, tangents: tuple, *, target: Target, origin: Vector, scale: Vector
) -> tuple[Scalar, Scalar]:
    (moved,), (tangent,) = primals, tangents
    log_density, gradient = target.evaluate(origin + scale * moved)
    return log_density, jnp.sum(scale * gradient * tangent)


def refuse_one_dimension(engine: str, size: int) -> None:
    """Raise if a momentum of fixed length could not turn.

    Raises:
        EngineError: The flat vector has fewer than two coordinates.
    """
    if size < 2:
        raise EngineError(
            engine,
            "the flat vector has one coordinate, on which a momentum of fixed length cannot turn",
            "Use NUTS() or HMC().",
        )
