"""A leaf of a tree that is a site, and the declaration it makes given the sites before it."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.base import Bijector, Constraint, Shape
from bijectors.compose import Chain, repeat_over_batch
from bijectors.maps.affine import Affine
from bijectors.registry import bijector_for
from bijectors.rule import Rules
from bijectors.sets.complex import Complex
from bijectors.sets.concatenation import Concatenation
from bijectors.sets.real import Real

from ....errors import ModelError
from ...inputs.names import join_names
from ...inputs.partition import Partition
from ...inputs.precision import on_device
from ...inputs.units import refuse_units
from ...priors.prior import Prior, prior_of
from ...priors.sets import set_of
from ...priors.units import refuse_parameters_with_units
from ...protocol.layout import as_dims, can_spread, lay_out
from ...protocol.site import Declaration, Dims
from .flatten import TreeLeaf
from .leaf import Leaf, is_function

Values = Mapping[str, Array]


class LeafSite(eqx.Module):
    """A leaf that is a site.

    Attributes that may be functions, names or objects of other libraries are partitioned.

    Attributes:
        name: Its path.
        indices: All leaves of the tree that are this array.
        shape: Shape of its value.
        dtype: Type of the leaf; `None` for a Python number, which takes any.
        dims: Names of batch axes, then event axes.
        prior: Its distribution, or a function of the values before; `None` for a flat one, or
            if it uses the prior of another site.
        shares: Name of an earlier site whose prior it uses; `None` if it has its own.
        constraint: Its set, or a function of the values before; `None` for the prior's support.
        bijector: Map to use instead of the default, or its name.
        scale: Size of a typical move of its unconstrained numbers.
        initial: Its value in the user's tree, unless that was abstract.
        node: The wrapper around it, for results.
        inverse: From values to the array that the wrapper holds.
    """

    name: str = eqx.field(static=True)
    indices: tuple[int, ...] = eqx.field(static=True)
    shape: Shape = eqx.field(static=True)
    dtype: Any = eqx.field(static=True)
    dims: Dims = eqx.field(static=True)
    prior: Partition | None
    shares: str | None = eqx.field(static=True)
    constraint: Constraint | Partition | None
    bijector: Bijector | Partition | None
    scale: Array | None
    initial: Array | None
    node: Partition | None
    inverse: Callable[[Any], Any] | None = eqx.field(static=True)

    @classmethod
    def of(cls, place: TreeLeaf, leaf: Leaf, shares: str | None = None) -> "LeafSite":
        """Make a site from a leaf.

        Args:
            place: The leaf.
            leaf: What the user and the wrapper around it specify.
            shares: An earlier site that has the same prior object, whose arrays serve both.

        Raises:
            ModelError: The prior is not a distribution, or its map or its scale has units.
        """
        value = place.constrained
        refuse_parameters_with_units(place.name, leaf.bijector, "map")
        refuse_units(place.name, leaf.scale, "scale=")
        if leaf.prior is not None and not is_function(leaf.prior):
            prior_of(leaf.prior, place.name)
        inverse = None if place.parameter is None else place.parameter.inverse
        return cls(
            name=place.name,
            indices=tuple(place.indices),
            shape=place.shape,
            dtype=None if isinstance(value, float | complex) else np.dtype(value.dtype),
            dims=as_dims(leaf.dims),
            prior=None if leaf.prior is None or shares else Partition.of(leaf.prior, place.name),
            shares=shares,
            constraint=_partition(_choose_set(place, leaf), Constraint, place.name),
            bijector=_partition(leaf.bijector, Bijector, place.name),
            scale=None
            if leaf.scale is None
            else on_device(np.asarray(leaf.scale, float), place.name),
            initial=None
            if isinstance(value, jax.ShapeDtypeStruct)
            else on_device(value, place.name),
            node=None if inverse is None else Partition.of(place.value, place.name),
            inverse=inverse,
        )

    @property
    def is_dependent(self) -> bool:
        """Whether its prior or its set depends on the values of other sites."""
        return is_function(_restore(self.prior)) or is_function(_restore(self.constraint))

    def declaration(
        self,
        values: Values,
        coords: Mapping[str, np.ndarray],
        rules: Rules,
        prior: Partition | None,
    ) -> Declaration:
        """Return what the site asks of a reader, given the values of the sites before it.

        Args:
            values: By path.
            coords: Coordinates of the named dimensions.
            rules: Table of maps.
            prior: Its own prior, or that of the site it shares with.

        Raises:
            ModelError: Prior or set do not fit the shape of the leaf.
        """
        return self._declare(values, coords, rules, self._prior(values, prior))

    def _declare(
        self, values: Values, coords: Mapping[str, np.ndarray], rules: Rules, prior: Prior | None
    ) -> Declaration:
        constraint = self._constraint(values, prior)
        self._refuse_other_field(constraint)
        event_ndims = constraint.event_ndims if prior is None else len(prior.event_shape)
        cut = len(self.shape) - event_ndims
        batch, event = self.shape[: max(cut, 0)], self.shape[max(cut, 0) :]
        own = batch if prior is None else prior.batch_shape
        if cut < 0 or (prior and not can_spread(own + prior.event_shape, self.shape)):
            self._refuse(constraint, prior)
        laid = lay_out(self.name, own, event, self.dims, (), coords, batch)
        spread = None if prior is None else Prior(prior.distribution, laid.batch_shape)
        if spread is not None and self.constraint is not None:
            spread = spread.within(constraint, self.name)
        choice = _restore(self.bijector)
        if self.scale is not None:
            choice = self._scale_map(constraint, choice, rules)
        return Declaration(self.name, constraint, self.shape, laid.dims, spread, choice)

    def cast(self, value: Any) -> Array:
        """Convert a value, with any leading axes, to the dtype of the leaf."""
        array = jnp.asarray(value)
        return array if self.dtype is None else array.astype(self.dtype)

    def wrap(self, value: Any) -> Any:
        """Put a value, with any leading axes, into the wrapper that held it in the tree."""
        value = self.cast(value)
        if self.node is None or self.inverse is None:
            return value
        index = next(i for i, leaf in enumerate(self.node.leaves) if eqx.is_inexact_array(leaf))
        return self.node.tree({index: self.inverse(value)})

    def _prior(self, values: Values, prior: Partition | None) -> Prior | None:
        if prior is None:
            return None
        distribution = prior_of(self._evaluate(prior.tree(), values), self.name)
        return Prior(distribution, tuple(distribution.batch_shape))

    def _constraint(self, values: Values, prior: Prior | None) -> Constraint:
        found = self._evaluate(_restore(self.constraint), values)
        if found is None:
            return Real() if prior is None else prior.constraint(self.name)
        return set_of(found, self.name)

    def _evaluate(self, given: Any, values: Values) -> Any:
        """Call what the user gave if it is a function of the values before."""
        if not is_function(given):
            return given
        try:
            return given(dict(values))
        except KeyError as error:
            raise ModelError(
                self.name,
                f"its prior or set uses {error}, which has no value before it",
                f"It may use {join_names(values)}; leaves with such functions come after all "
                "others.",
            ) from error

    def _refuse_other_field(self, constraint: Constraint) -> None:
        """Raise if the leaf is complex and its set is not, or the other way round."""
        dtype = self.dtype if self.initial is None else self.initial.dtype
        is_complex = np.issubdtype(dtype, np.complexfloating)
        # A number of Python, which has no dtype to keep, may become complex.
        if _is_of_field(constraint, is_complex) or not is_complex and self.dtype is None:
            return
        raise ModelError(
            self.name,
            f"the leaf is {'complex' if is_complex else 'real'}, and {constraint!r} is not",
            "Give complex leaves bijectors.Complex(), and a prior as a term of the log likelihood; "
            "or make the real and the imaginary part leaves of their own.",
        )

    def _refuse(self, constraint: Constraint, prior: Prior | None) -> None:
        what = repr(constraint)
        if prior is not None:
            kind = type(prior.distribution).__name__
            what = f"{kind} of batch shape {prior.batch_shape} and event shape {prior.event_shape}"
        raise ModelError(
            self.name,
            f"the leaf has shape {self.shape}, which does not fit {what}",
            "Make the leaf's shape the batch shape followed by the event shape.",
        )

    def _scale_map(self, constraint: Constraint, choice: Any, rules: Rules) -> Chain:
        assert self.scale is not None
        outer = bijector_for(constraint, self.shape, choice, rules, self.name)
        shape = outer.unconstrained_shape(self.shape)
        return Chain(outer, repeat_over_batch(Affine(0.0, self.scale), shape))


def _is_of_field(constraint: Constraint, is_complex: bool) -> bool:
    """Return whether all numbers of a set's members are complex, or all real."""
    if isinstance(constraint, Concatenation):
        return all(_is_of_field(part, is_complex) for part in constraint.parts)
    return isinstance(constraint, Complex) == is_complex


def _choose_set(place: TreeLeaf, leaf: Leaf) -> Any:
    """Return the set of a leaf; without a prior or a set, its numbers are unconstrained."""
    if leaf.constraint is not None or leaf.prior is not None:
        is_known = leaf.constraint is not None and not is_function(leaf.constraint)
        return set_of(leaf.constraint, place.name) if is_known else leaf.constraint
    dtype = getattr(place.constrained, "dtype", type(place.constrained))
    return Complex() if np.issubdtype(dtype, np.complexfloating) else Real()


def _partition(given: Any, kind: type, name: str) -> Any:
    """Partition what the user gave, unless it is absent or a pytree of arrays of ours."""
    is_done = given is None or isinstance(given, kind)
    return given if is_done else Partition.of(given, name)


def _restore(given: Any) -> Any:
    return given.tree() if isinstance(given, Partition) else given
