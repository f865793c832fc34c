"""Priors of which only the score is known, such as a network learned from examples."""

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
    """A prior given by its score, the gradient of its log density; the value is unknown.

    It can be used wherever a distribution can. Its log density is NaN, with the score as its
    gradient. So a density with such a term has no value, and engines that need one refuse it.
    The score is called once, batched, for all rows.

    Attributes:
        score: From a value of shape `shape` to the gradient of the log density there, of the
            same shape, in nats. Any callable pytree, such as an `equinox.Module`: its arrays
            are data of the model, so they may be traced, batched and changed without compiling.
        shape: Shape of one value.
        temperature: If given, the score is called as `score(value, temperature)`, such as with
            the noise level of a diffusion model. It is data too.
        pre: If given, the score is called with `pre(value)`, such as the compression that the
            network was trained on; the score is pulled back by its vjp.
        jacobian: If false, the density of the value is exp(g(pre(value))), where the score is the
            gradient of g. If true, the score is that of the density of pre(value), so
            log |det d pre / d value| is added; `pre` must then be injective.
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
            raise ModelError(
                "ScorePrior", "jacobian=True is given without pre", "Give pre=, or drop jacobian=."
            )
        self.score, self.temperature, self.pre, self.jacobian = score, temperature, pre, jacobian
        self._support = OurSupport(support) if isinstance(support, Constraint) else support
        super().__init__(batch_shape=(), event_shape=tuple(shape), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Set of its values, as a constraint of NumPyro."""
        plain = constraints.independent(constraints.real, len(self.event_shape))
        return plain if self._support is None else self._support

    def sample(self, key: Any, sample_shape: Shape = ()) -> Array:
        """Raise, since a score gives no draws.

        Raises:
            ModelError: Always.
        """
        raise ModelError(
            "ScorePrior",
            "only its score is known, which gives no draws",
            'Use starts="uniform", or give starting values.',
        )

    def log_prob(self, value: Any, intermediates: Any = None) -> Array:
        """Return NaN for each row, with the score as its gradient."""
        value = jnp.asarray(value)
        batch = value.shape[: value.ndim - self.event_dim]
        rows = value.reshape(-1, *value.shape[len(batch) :])
        # What the functions close over becomes an argument, so that it may be traced or batched.
        one = jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype)
        gradient = eqx.filter_closure_convert(self._gradient, one)
        return jax.vmap(lambda row: _unknown_value(row, slope=gradient))(rows).reshape(batch)

    def _gradient(self, value: Array) -> Array:
        """Return the gradient of the log density at one value, by the chain rule through `pre`."""
        pre = self.pre
        if pre is None:
            return _check_shape(self._call_score(value), value)
        seen, pull = jax.vjp(pre, value)
        (slope,) = pull(_check_shape(self._call_score(seen), seen))
        if not self.jacobian:
            return slope
        return slope + jax.grad(lambda x: log_det_of(pre, x))(value)

    def _call_score(self, value: Array) -> Any:
        more = () if self.temperature is None else (self.temperature,)
        return self.score(value, *more)


@eqx.filter_custom_jvp
def _unknown_value(value: Array, *, slope: Callable[[Array], Array]) -> Array:
    """Return NaN; differentiating it gives `slope(value)`."""
    return jnp.full((), jnp.nan, value.dtype)


@_unknown_value.def_jvp
def _change(primals: tuple, tangents: tuple, *, slope: Callable) -> tuple[Array, Array]:
    (value,), (tangent,) = primals, tangents
    unknown = jnp.full((), jnp.nan, value.dtype)
    if tangent is None:
        return unknown, jnp.zeros((), value.dtype)
    return unknown, (slope(value) * tangent).sum()


def _check_shape(slope: Any, value: Array) -> Array:
    slope = jnp.asarray(slope)
    if slope.shape != value.shape:
        raise ModelError(
            "ScorePrior",
            f"its score returns shape {slope.shape} for a value of shape {value.shape}",
            "Return the gradient with respect to the value, which has the shape of the value.",
        )
    return slope.astype(value.dtype)
