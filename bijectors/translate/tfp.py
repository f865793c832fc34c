"""Translate the supports of TFP's distributions into our sets."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from ..base import Constraint, Shape
from ..compose import Chain
from ..errors import BijectorError
from ..maps.affine import Affine
from ..maps.box_cox import BoxCox
from ..sets.circular import Circular
from ..sets.concatenation import Concatenation
from ..sets.correlation import Correlation
from ..sets.correlation_cholesky import CorrelationCholesky
from ..sets.covariance import PositiveDefinite
from ..sets.log_simplex import LogSimplex
from ..sets.positive import Softplus
from ..sets.simplex import Simplex
from ..sets.sphere import UnitVector
from .bounds import cover, cover_over, join, reshape
from .image_of import ImageOf
from .tfp_bijector import TfpBijector, bijector_from_tfp
from .tfp_import import load_tfp
from .tfp_reach import image_of_reals, push_forward

# A row of the table: takes a distribution and a name for errors, and returns the set.
Translate = Callable[[Any, str], Constraint]


def from_tfp(distribution: Any, where: str = "distribution") -> Constraint:
    """Translate the support of one distribution of TFP; bounds may be traced.

    If the support is one of our sets, its default map is used. Otherwise the result is an
    `ImageOf` set of the distribution's own default bijector.

    Args:
        distribution: Instance of `tfp.distributions.Distribution`, on JAX.
        where: Name for errors, such as that of a site.

    Returns:
        The set of its values; bounds broadcast over batch and event axes.

    Raises:
        BijectorError: TFP cannot be imported; or the support is discrete, has isolated points
            of positive probability, or is that of a joint distribution.
    """
    if not isinstance(distribution, load_tfp().distributions.Distribution):
        raise BijectorError(
            where,
            f"{type(distribution)} is not a distribution of tensorflow_probability.substrates.jax",
            "Give a distribution of TFP's JAX substrate.",
        )
    for kind in type(distribution).__mro__:
        translate = _TABLE.get(kind.__name__.lstrip("_"))
        if translate is not None:
            return translate(distribution, where)
    return _translate_default_bijector(distribution, where)


def _translate_default_bijector(distribution: Any, where: str) -> Constraint:
    if not jnp.issubdtype(distribution.dtype, jnp.floating):
        raise _discrete_error(distribution, where)
    try:
        bijector = distribution.experimental_default_event_space_bijector()
    except NotImplementedError as error:
        raise _unknown_error(distribution, where, "has no default event-space bijector") from error
    if bijector is None:
        raise _discrete_error(distribution, where)
    known = image_of_reals(bijector)
    return known or ImageOf(bijector_from_tfp(bijector, len(_whole_shape(distribution))))


def batch_shape(distribution: Any) -> Shape:
    """Return the batch shape, which some distributions of TFP know only once it is computed."""
    return tuple(int(size) for size in distribution.batch_shape_tensor())


def event_shape(distribution: Any) -> Shape:
    """Return the event shape, which some distributions of TFP know only once it is computed."""
    return tuple(int(size) for size in distribution.event_shape_tensor())


def _whole_shape(distribution: Any) -> Shape:
    return batch_shape(distribution) + event_shape(distribution)


def _name(distribution: Any) -> str:
    return type(distribution).__name__.lstrip("_")


def _discrete_error(distribution: Any, where: str) -> BijectorError:
    return BijectorError(
        where,
        f"the support of {_name(distribution)} is discrete and has no map from the reals",
        "Marginalize the site, as tfp.distributions.MixtureSameFamily does, or observe it.",
    )


def _unknown_error(distribution: Any, where: str, why: str) -> BijectorError:
    mend = "Give the site constraint=... with one of our sets."
    return BijectorError(where, f"{_name(distribution)} {why}", mend)


def _make_refusal(why: str, mend: str) -> Translate:
    def translate(distribution: Any, where: str) -> Constraint:
        raise BijectorError(where, f"{_name(distribution)} {why}", mend)

    return translate


_POINT = _make_refusal(
    "has all its probability at one value", "Use the value itself, and record it with site.derive."
)
_INFLATED = _make_refusal(
    "has part of its probability at one value, and so no density",
    "Observe the site, or approximate it by a mixture of continuous distributions.",
)
_JOINT = _make_refusal(
    "is a joint distribution of several quantities, but a site has one",
    "Declare a site for each of its parts, or make a model of the whole with infer.from_tfp.",
)


def _return_set(constraint: Constraint) -> Translate:
    return lambda distribution, where: constraint


def _translate_matrix(constraint: Constraint) -> Translate:
    def translate(distribution: Any, where: str) -> Constraint:
        if not distribution.input_output_cholesky:
            return constraint
        raise BijectorError(
            where,
            f"{_name(distribution)}(input_output_cholesky=True) gives the density of the matrix "
            "for its factor, without the volume between the two",
            "Leave it False; the distribution of the factor of a correlation is CholeskyLKJ.",
        )

    return translate


def _translate_extreme_values(distribution: Any, where: str) -> Constraint:
    # One smooth map for both signs of the concentration, which may be traced.
    tail = BoxCox(distribution.concentration)
    return ImageOf(Chain(Affine(distribution.loc, distribution.scale), tail))


def _translate_pareto(distribution: Any, where: str) -> Constraint:
    tail = Chain(BoxCox(distribution.concentration), Softplus())
    return ImageOf(Chain(Affine(distribution.loc, distribution.scale), tail))


def _translate_truncated(distribution: Any, where: str) -> Constraint:
    for bound in (distribution.low, distribution.high):
        if not isinstance(bound, jax.core.Tracer) and not np.isfinite(bound).all():
            raise BijectorError(
                where,
                f"{_name(distribution)} has the bound {bound}, but TFP needs finite bounds",
                "Give finite bounds; numpyro.distributions.TruncatedNormal can have one bound.",
            )
    return _translate_default_bijector(distribution, where)


def _translate_base(distribution: Any, where: str) -> Constraint:
    return from_tfp(distribution.distribution, where)


def _translate_sample(distribution: Any, where: str) -> Constraint:
    base = distribution.distribution
    batch, event = batch_shape(base), event_shape(base)
    sampled = len(_whole_shape(distribution)) - len(batch) - len(event)
    return _reshape_bounds(distribution, where, (*batch, *(1,) * sampled, *event))


def _translate_batch_reshape(distribution: Any, where: str) -> Constraint:
    return _reshape_bounds(distribution, where, _whole_shape(distribution))


def _reshape_bounds(distribution: Any, where: str, shape: Shape) -> Constraint:
    constraint = _translate_base(distribution, where)
    if _is_tfp_image(constraint):
        return _translate_default_bijector(distribution, where)
    if not jax.tree.leaves(constraint):
        return constraint
    return reshape(constraint, _whole_shape(distribution.distribution), shape)


def _is_tfp_image(constraint: Constraint) -> bool:
    return isinstance(constraint, ImageOf) and isinstance(constraint.bijector, TfpBijector)


def _translate_transformed(distribution: Any, where: str) -> Constraint:
    base = from_tfp(distribution.distribution, where)
    # A subclass, such as Weibull, has its own default bijector.
    own = _name(distribution) != "TransformedDistribution"
    constraint = None if own else push_forward(distribution.bijector, base)
    if constraint is None and isinstance(base, Circular | UnitVector):
        why = f"maps {type(base).__name__} in a way that has no translation"
        raise _unknown_error(distribution, where, why)
    return constraint or _translate_default_bijector(distribution, where)


def _translate_batch_concat(distribution: Any, where: str) -> Constraint:
    parts = distribution.distributions
    batch, event = batch_shape(distribution), event_shape(distribution)
    axis = int(distribution.parameters["axis"]) % len(batch)
    wholes = [(*batch[:axis], batch_shape(d)[axis], *batch[axis + 1 :], *event) for d in parts]
    joined = join([from_tfp(part, where) for part in parts], wholes, axis)
    return _require_found(joined, distribution, where)


def _translate_mixture(distribution: Any, where: str) -> Constraint:
    sets = [from_tfp(component, where) for component in distribution.components]
    return _require_found(cover(sets), distribution, where)


def _translate_mixture_same_family(distribution: Any, where: str) -> Constraint:
    components = distribution.components_distribution
    return _cover_components(distribution, components, where, keepdims=False)


def _translate_hidden_markov_model(distribution: Any, where: str) -> Constraint:
    varying = distribution.parameters["time_varying_observation_distribution"]
    # The axis of the steps replaces that of the states.
    emission = distribution.observation_distribution
    return _cover_components(distribution, emission, where, keepdims=not varying)


def _cover_components(distribution: Any, components: Any, where: str, keepdims: bool) -> Constraint:
    constraint = from_tfp(components, where)
    axis = len(batch_shape(components)) - 1
    found = cover_over(constraint, _whole_shape(components), axis, keepdims)
    return _require_found(None if _is_tfp_image(constraint) else found, distribution, where)


def _require_found(constraint: Constraint | None, distribution: Any, where: str) -> Constraint:
    if constraint is None:
        raise _unknown_error(distribution, where, "has components whose sets do not fit together")
    return constraint


def _translate_autoregressive(distribution: Any, where: str) -> Constraint:
    return _cover_steps([distribution.distribution0], distribution, where)


def _translate_markov_chain(distribution: Any, where: str) -> Constraint:
    start = distribution.initial_state_prior
    first = start.sample(seed=jax.random.key(0))
    return _cover_steps([start, distribution.transition_fn(0, first)], distribution, where)


def _cover_steps(steps: Sequence[Any], distribution: Any, where: str) -> Constraint:
    """Return the one set of all steps, if no bound can depend on earlier steps."""
    constraint = cover([from_tfp(step, where) for step in steps])
    if constraint is None or jax.tree.leaves(constraint) or _is_tfp_image(constraint):
        raise BijectorError(
            where,
            f"the bounds of {_name(distribution)} may depend on its earlier values",
            "Declare a site for each of its steps.",
        )
    return constraint


def _translate_blockwise(distribution: Any, where: str) -> Constraint:
    parts = [from_tfp(part, where) for part in distribution.distributions]
    # An array of bounds would be taken for bounds of a batch.
    if (
        any(jnp.ndim(bound) for bound in jax.tree.leaves(parts))
        or max(part.event_ndims for part in parts) > 1
    ):
        why = "has parts that are not vectors, or whose bounds are arrays"
        raise _unknown_error(distribution, where, why)
    sizes = [math.prod(event_shape(part)) for part in distribution.distributions]
    return Concatenation(tuple(parts), tuple(sizes))


# By name, so that making the table does not import TFP. A name also covers its subclasses.
_TABLE: Mapping[str, Translate] = {
    "VonMises": _return_set(Circular()),
    "VonMisesFisher": _return_set(UnitVector()),
    "PowerSpherical": _return_set(UnitVector()),
    "SphericalUniform": _return_set(UnitVector()),
    "Dirichlet": _return_set(Simplex()),
    "RelaxedOneHotCategorical": _return_set(Simplex()),
    "ExpRelaxedOneHotCategorical": _return_set(LogSimplex()),
    "CholeskyLKJ": _return_set(CorrelationCholesky()),
    "LKJ": _translate_matrix(Correlation()),
    "WishartLinearOperator": _translate_matrix(PositiveDefinite()),
    "GeneralizedExtremeValue": _translate_extreme_values,
    "GeneralizedPareto": _translate_pareto,
    "TruncatedNormal": _translate_truncated,
    "TruncatedCauchy": _translate_truncated,
    "Independent": _translate_base,
    "Masked": _translate_base,
    "BatchBroadcast": _translate_base,
    "Sample": _translate_sample,
    "BatchReshape": _translate_batch_reshape,
    "BatchConcat": _translate_batch_concat,
    "TransformedDistribution": _translate_transformed,
    "Mixture": _translate_mixture,
    "MixtureSameFamily": _translate_mixture_same_family,
    "HiddenMarkovModel": _translate_hidden_markov_model,
    "Autoregressive": _translate_autoregressive,
    "MarkovChain": _translate_markov_chain,
    "Blockwise": _translate_blockwise,
    "Deterministic": _POINT,
    "VectorDeterministic": _POINT,
    "Inflated": _INFLATED,
    "JointDistribution": _JOINT,
}
