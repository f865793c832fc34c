"""A prior that is known by its score alone, such as a network learned from examples."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array
from numpyro.distributions import constraints

from bijectors.base import Constraint, Shape
from bijectors.maps.jacobian import log_det_of
from bijectors.translate.numpyro import OurSupport

from ...errors import ModelError


class ScorePrior(dist.Distribution):
    """A prior known by its score: the gradient of its log density, and no value of it.

    It stands wherever a distribution may. Its log density is NaN, and has the score as its
    gradient; so a density with such a term has no value, and engines that need one refuse.
    Values of several rows are asked for in one batched call of the score.

    Attributes:
        score: From a value of shape `shape` to the gradient of the log density there, of the
            same shape, in nats. Any callable pytree, such as an `equinox.Module`: its arrays
            are data of the model, so they may be traced, batched and changed without compiling.
        shape: Shape of one value.
        temperature: Where given, the score is called as `score(value, temperature)`: the noise
            level at which a diffusion model is asked. It is data too.
        pre: Where given, a function of the value that the score is called with, such as the
            compression the network was trained on; the score is pulled back by its vjp.
        jacobian: False: the density of the value is exp(g(pre(value))), where g has the score
            for its gradient. True: the score is that of the density of pre(value), so
            log |det d pre / d value| is added; `pre` must then be one to one.
        support: Set of its values, one of ours or of NumPyro; by default all real arrays. A
            constraint at the site replaces it.
    """

    pytree_data_fields = ("score", "temperature", "pre", "_support")
    pytree_aux_fields = ("jacobian",)

    def __init__(
        self,
        score: Any,
        shape: Shape = (),
        *,
        temperature: Any = None,
        pre: Callable[[Array], Any] | None = None,
        jacobian: bool = False,
        support: Constraint | constraints.Constraint | None = None,
    ) -> None:
        if not callable(score):
            raise ModelError(
                "ScorePrior",
                f"its score is a {type(score).__name__}, which cannot be called",
                "Give a function from a value to the gradient of its log density.",
            )
        if jacobian and pre is None:
            raise ModelError("ScorePrior", "jacobian=True without pre", "Give pre, or drop it.")
        self.score, self.temperature, self.pre, self.jacobian = score, temperature, pre, jacobian
        self._support = OurSupport(support) if isinstance(support, Constraint) else support
        super().__init__(batch_shape=(), event_shape=tuple(shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Set of its values, as NumPyro says it."""
        plain = constraints.independent(constraints.real, len(self.event_shape))
        return plain if self._support is None else self._support

    def sample(self, key: Any, sample_shape: Shape = ()) -> Array:
        """Refuse: a score gives no draws.

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            "ScorePrior",
            "it is known by its score alone, from which nothing is drawn",
            'Use starts="uniform", or give starting values.',
        )

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        """Return NaN for each row, whose gradient is the score."""
        value = jnp.asarray(value)
        batch = value.shape[: value.ndim - self.event_dim]
        rows = value.reshape(-1, *value.shape[len(batch) :])
        # Whatever the functions close over becomes an argument, which may be traced or batched.
        one = jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype)
        pulled = eqx.filter_closure_convert(self._pulled, one)
        return jax.vmap(lambda row: _known_by_score(row, slope=pulled))(rows).reshape(batch)

    def _pulled(self, value: Array) -> Array:
        """Gradient of the log density at one value, by the chain rule through `pre`."""
        pre = self.pre
        if pre is None:
            return _fitting(self._asked(value), value)
        seen, pull = jax.vjp(pre, value)
        (slope,) = pull(_fitting(self._asked(seen), seen))
        if not self.jacobian:
            return slope
        return slope + jax.grad(lambda x: log_det_of(pre, x))(value)

    def _asked(self, value: Array) -> Any:
        more = () if self.temperature is None else (self.temperature,)
        return self.score(value, *more)


@eqx.filter_custom_jvp
def _known_by_score(value: Array, *, slope: Callable[[Array], Array]) -> Array:
    """Be a number that nobody knows, whose gradient is `slope(value)`."""
    return jnp.full((), jnp.nan, value.dtype)


@_known_by_score.def_jvp
def _change(primals: tuple, tangents: tuple, *, slope: Callable) -> tuple[Array, Array]:
    (value,), (tangent,) = primals, tangents
    unknown = jnp.full((), jnp.nan, value.dtype)
    if tangent is None:
        return unknown, jnp.zeros((), value.dtype)
    return unknown, (slope(value) * tangent).sum()


def _fitting(slope: Any, value: Array) -> Array:
    slope = jnp.asarray(slope)
    if slope.shape != value.shape:
        raise ModelError(
            "ScorePrior",
            f"its score returns shape {slope.shape} for a value of shape {value.shape}",
            "Return the gradient with respect to the value, of the value's own shape.",
        )
    return slope.astype(value.dtype)


def is_valued(distribution: Any) -> bool:
    """Tell whether a distribution has a log density with a value: no part of it is a score."""
    parts = jax.tree.leaves(distribution, is_leaf=lambda part: isinstance(part, ScorePrior))
    return not any(isinstance(part, ScorePrior) for part in parts)


def refuse_unvalued(where: str, distribution: Any) -> None:
    """Raise where data are said to come from what is known by its score alone."""
    if not is_valued(distribution):
        raise ModelError(
            where,
            "it is observed, but its distribution is known by its score alone, which says nothing "
            "of the distribution's parameters",
            "Observe data from a distribution with a log density.",
        )
