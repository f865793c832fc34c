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
from .tfp_reach import image_of_reals, pushed

# A row of the table: a distribution and the name for errors, to the set.
Translate = Callable[[Any, str], Constraint]


def from_tfp(distribution: Any, where: str = "distribution") -> Constraint:
    """Translate the support of one distribution of TFP; bounds may be traced.

    One of our sets is preferred, so that its map is the default. Where none fits, the
    distribution's own default bijector becomes the map of an `ImageOf` set.

    Args:
        distribution: Instance of `tfp.distributions.Distribution`, on JAX.
        where: Name to give in errors, such as a site's.

    Returns:
        The set of its values; bounds broadcast over batch and event axes.

    Raises:
        BijectorError: TFP cannot be imported; or the support is discrete, holds isolated
            points, or is that of many quantities at once.
    """
    if not isinstance(distribution, load_tfp().distributions.Distribution):
        raise BijectorError(
            where,
            f"{type(distribution)} is no distribution of tensorflow_probability.substrates.jax",
            "Give a distribution of TFP's JAX substrate.",
        )
    for kind in type(distribution).__mro__:
        translate = _TABLE.get(kind.__name__.lstrip("_"))
        if translate is not None:
            return translate(distribution, where)
    return _by_default_bijector(distribution, where)


def _by_default_bijector(distribution: Any, where: str) -> Constraint:
    if not jnp.issubdtype(distribution.dtype, jnp.floating):
        raise _discrete(distribution, where)
    try:
        bijector = distribution.experimental_default_event_space_bijector()
    except NotImplementedError as error:
        raise _unknown(distribution, where, "has no default event-space bijector") from error
    if bijector is None:
        raise _discrete(distribution, where)
    known = image_of_reals(bijector)
    return known or ImageOf(bijector_from_tfp(bijector, len(_whole(distribution))))


def batch_shape(distribution: Any) -> Shape:
    """Read the batch shape, which a distribution of TFP may only know when it is computed."""
    return tuple(int(size) for size in distribution.batch_shape_tensor())


def event_shape(distribution: Any) -> Shape:
    """Read the event shape, which a distribution of TFP may only know when it is computed."""
    return tuple(int(size) for size in distribution.event_shape_tensor())


def _whole(distribution: Any) -> Shape:
    return batch_shape(distribution) + event_shape(distribution)


def _name(distribution: Any) -> str:
    return type(distribution).__name__.lstrip("_")


def _discrete(distribution: Any, where: str) -> BijectorError:
    return BijectorError(
        where,
        f"the support of {_name(distribution)} is discrete, and has no map from the reals",
        "Sum the values out, as tfp.distributions.MixtureSameFamily does, or observe the site.",
    )


def _unknown(distribution: Any, where: str, why: str) -> BijectorError:
    mend = "Give the site constraint=... with a set of ours."
    return BijectorError(where, f"{_name(distribution)} {why}", mend)


def _refuse(why: str, mend: str) -> Translate:
    def translate(distribution: Any, where: str) -> Constraint:
        raise BijectorError(where, f"{_name(distribution)} {why}", mend)

    return translate


_POINT = _refuse(
    "holds all its probability at one value", "Use the value itself, and keep it with site.derive."
)
_INFLATED = _refuse(
    "puts a part of its probability at one value, and has no density",
    "Observe the site, or write its two parts as a mixture of continuous distributions.",
)
_JOINT = _refuse(
    "is a joint distribution: a model of several quantities, where a prior of one is expected",
    "Declare each of its parts as a site of its own, or make a model of the whole with "
    "infer.from_tfp.",
)


def _always(constraint: Constraint) -> Translate:
    return lambda distribution, where: constraint


def _matrix(constraint: Constraint) -> Translate:
    def translate(distribution: Any, where: str) -> Constraint:
        if not distribution.input_output_cholesky:
            return constraint
        raise BijectorError(
            where,
            f"{_name(distribution)}(input_output_cholesky=True) gives at a factor the density of "
            "the matrix, which leaves out the volume between the two",
            "Leave it False; CholeskyLKJ is the distribution of the factor of a correlation.",
        )

    return translate


def _extreme_values(distribution: Any, where: str) -> Constraint:
    # One smooth map for either sign of the concentration, which may be traced.
    bent = BoxCox(distribution.concentration)
    return ImageOf(Chain(Affine(distribution.loc, distribution.scale), bent))


def _excesses(distribution: Any, where: str) -> Constraint:
    bent = Chain(BoxCox(distribution.concentration), Softplus())
    return ImageOf(Chain(Affine(distribution.loc, distribution.scale), bent))


def _truncated(distribution: Any, where: str) -> Constraint:
    for bound in (distribution.low, distribution.high):
        if not isinstance(bound, jax.core.Tracer) and not np.isfinite(bound).all():
            raise BijectorError(
                where,
                f"{_name(distribution)} has the bound {bound}, where TFP asks for a finite one",
                "Give finite bounds; numpyro.distributions.TruncatedNormal takes one bound alone.",
            )
    return _by_default_bijector(distribution, where)


def _same(distribution: Any, where: str) -> Constraint:
    return from_tfp(distribution.distribution, where)


def _sample(distribution: Any, where: str) -> Constraint:
    base = distribution.distribution
    batch, event = batch_shape(base), event_shape(base)
    sampled = len(_whole(distribution)) - len(batch) - len(event)
    return _reshaped(distribution, where, (*batch, *(1,) * sampled, *event))


def _batch_reshape(distribution: Any, where: str) -> Constraint:
    return _reshaped(distribution, where, _whole(distribution))


def _reshaped(distribution: Any, where: str, shape: Shape) -> Constraint:
    constraint = _same(distribution, where)
    if _is_held(constraint):
        return _by_default_bijector(distribution, where)
    if not jax.tree.leaves(constraint):
        return constraint
    return reshape(constraint, _whole(distribution.distribution), shape)


def _is_held(constraint: Constraint) -> bool:
    return isinstance(constraint, ImageOf) and isinstance(constraint.bijector, TfpBijector)


def _transformed(distribution: Any, where: str) -> Constraint:
    base = from_tfp(distribution.distribution, where)
    # A kind of its own, such as Weibull, knows its own support.
    own = _name(distribution) != "TransformedDistribution"
    constraint = None if own else pushed(distribution.bijector, base)
    if constraint is None and isinstance(base, Circular | UnitVector):
        why = f"bends {type(base).__name__} in a way that is not translated"
        raise _unknown(distribution, where, why)
    return constraint or _by_default_bijector(distribution, where)


def _batch_concat(distribution: Any, where: str) -> Constraint:
    parts = distribution.distributions
    batch, event = batch_shape(distribution), event_shape(distribution)
    axis = int(distribution.parameters["axis"]) % len(batch)
    wholes = [(*batch[:axis], batch_shape(d)[axis], *batch[axis + 1 :], *event) for d in parts]
    joined = join([from_tfp(part, where) for part in parts], wholes, axis)
    return _demand(joined, distribution, where)


def _mixture(distribution: Any, where: str) -> Constraint:
    sets = [from_tfp(component, where) for component in distribution.components]
    return _demand(cover(sets), distribution, where)


def _mixture_same_family(distribution: Any, where: str) -> Constraint:
    components = distribution.components_distribution
    return _over_components(distribution, components, where, keepdims=False)


def _hidden_markov_model(distribution: Any, where: str) -> Constraint:
    varying = distribution.parameters["time_varying_observation_distribution"]
    # Where the axis of states goes, that of steps comes.
    emission = distribution.observation_distribution
    return _over_components(distribution, emission, where, keepdims=not varying)


def _over_components(distribution: Any, components: Any, where: str, keepdims: bool) -> Constraint:
    constraint = from_tfp(components, where)
    axis = len(batch_shape(components)) - 1
    found = cover_over(constraint, _whole(components), axis, keepdims)
    return _demand(None if _is_held(constraint) else found, distribution, where)


def _demand(constraint: Constraint | None, distribution: Any, where: str) -> Constraint:
    if constraint is None:
        raise _unknown(distribution, where, "has components whose sets do not fit together")
    return constraint


def _autoregressive(distribution: Any, where: str) -> Constraint:
    return _unmoved([distribution.distribution0], distribution, where)


def _markov_chain(distribution: Any, where: str) -> Constraint:
    start = distribution.initial_state_prior
    first = start.sample(seed=jax.random.key(0))
    return _unmoved([start, distribution.transition_fn(0, first)], distribution, where)


def _unmoved(steps: Sequence[Any], distribution: Any, where: str) -> Constraint:
    """Take the one set of all steps, if no bound can move with the steps before."""
    constraint = cover([from_tfp(step, where) for step in steps])
    if constraint is None or jax.tree.leaves(constraint) or _is_held(constraint):
        raise BijectorError(
            where,
            f"the bounds of {_name(distribution)} may depend on its earlier values",
            "Declare its steps as sites of their own.",
        )
    return constraint


def _blockwise(distribution: Any, where: str) -> Constraint:
    parts = [from_tfp(part, where) for part in distribution.distributions]
    # A bound of its own for each value would be taken for one of each row of a batch.
    if (
        any(jnp.ndim(bound) for bound in jax.tree.leaves(parts))
        or max(part.event_ndims for part in parts) > 1
    ):
        why = "has parts that are no vectors, or whose bounds are arrays"
        raise _unknown(distribution, where, why)
    sizes = [math.prod(event_shape(part)) for part in distribution.distributions]
    return Concatenation(tuple(parts), tuple(sizes))


# By name, so that nothing of TFP is imported to make the table. A name also stands for the
# classes derived from it.
_TABLE: Mapping[str, Translate] = {
    "VonMises": _always(Circular()),
    "VonMisesFisher": _always(UnitVector()),
    "PowerSpherical": _always(UnitVector()),
    "SphericalUniform": _always(UnitVector()),
    "Dirichlet": _always(Simplex()),
    "RelaxedOneHotCategorical": _always(Simplex()),
    "ExpRelaxedOneHotCategorical": _always(LogSimplex()),
    "CholeskyLKJ": _always(CorrelationCholesky()),
    "LKJ": _matrix(Correlation()),
    "WishartLinearOperator": _matrix(PositiveDefinite()),
    "GeneralizedExtremeValue": _extreme_values,
    "GeneralizedPareto": _excesses,
    "TruncatedNormal": _truncated,
    "TruncatedCauchy": _truncated,
    "Independent": _same,
    "Masked": _same,
    "BatchBroadcast": _same,
    "Sample": _sample,
    "BatchReshape": _batch_reshape,
    "BatchConcat": _batch_concat,
    "TransformedDistribution": _transformed,
    "Mixture": _mixture,
    "MixtureSameFamily": _mixture_same_family,
    "HiddenMarkovModel": _hidden_markov_model,
    "Autoregressive": _autoregressive,
    "MarkovChain": _markov_chain,
    "Blockwise": _blockwise,
    "Deterministic": _POINT,
    "VectorDeterministic": _POINT,
    "Inflated": _INFLATED,
    "JointDistribution": _JOINT,
}
