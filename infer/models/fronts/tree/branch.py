"""A leaf of a tree that is a site: what it declares, given the values settled before it."""

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
from bijectors.sets.real import Real

from ....errors import ModelError
from ...inputs.names import listed
from ...inputs.partition import Partition
from ...inputs.precision import on_device
from ...priors.prior import Prior, prior_of
from ...priors.sets import set_of
from ...protocol.layout import as_dims, lay_out, spreads_to
from ...protocol.site import Declaration, Dims
from .flatten import Place
from .leaf import Leaf, is_rule

Values = Mapping[str, Array]


class Branch(eqx.Module):
    """A leaf that is a site.

    What is no pytree of arrays, such as a function or a name, is held by a `Partition`.

    Attributes:
        name: Its path.
        places: Which leaves of the tree are this array.
        shape: Shape of its value.
        dtype: Of the leaf; `None` of a Python number, which takes any.
        dims: Names of batch axes, then event axes.
        prior: Its distribution, or a function of the values before; `None` for a flat one, or
            where another's is used.
        shares: Name of the site before it whose prior it uses; `None` for its own.
        constraint: Its set, or such a function; `None` leaves it to the prior.
        bijector: Map to use instead of the default, or its name.
        scale: Size of a typical move of its unconstrained numbers.
        initial: Its value in the user's tree, unless that was abstract.
        node: The wrapper around it, for results.
        inverse: From values to the array that the wrapper holds.
    """

    name: str = eqx.field(static=True)
    places: tuple[int, ...] = eqx.field(static=True)
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
    def of(cls, place: Place, leaf: Leaf, shares: str | None = None) -> "Branch":
        """Make a site of a leaf and what is said of it.

        Args:
            place: The leaf.
            leaf: What is said of it.
            shares: The site before it that has the very same prior, whose arrays stand for both.

        Raises:
            ModelError: The prior is no distribution.
        """
        value = place.present
        if leaf.prior is not None and not is_rule(leaf.prior):
            prior_of(leaf.prior, place.name)
        inverse = None if place.parameter is None else place.parameter.inverse
        return cls(
            name=place.name,
            places=tuple(place.places),
            shape=place.shape,
            dtype=None if isinstance(value, float | complex) else np.dtype(value.dtype),
            dims=as_dims(leaf.dims),
            prior=None if leaf.prior is None or shares else Partition.of(leaf.prior, place.name),
            shares=shares,
            constraint=_held(_set(place, leaf), Constraint, place.name),
            bijector=_held(leaf.bijector, Bijector, place.name),
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
    def leans(self) -> bool:
        """Tell whether it depends on values settled before it."""
        return is_rule(_released(self.prior)) or is_rule(_released(self.constraint))

    def declaration(
        self,
        values: Values,
        coords: Mapping[str, np.ndarray],
        rules: Rules,
        prior: Partition | None,
    ) -> Declaration:
        """Say what the site asks of a reader, given the values settled before it.

        Args:
            values: By path.
            coords: Of the named dimensions.
            rules: Table of maps.
            prior: Its own prior, or that of the site it shares with.

        Raises:
            ModelError: Prior or set do not fit the shape of the leaf.
        """
        return self._declared(values, coords, rules, self._prior(values, prior))

    def _declared(
        self, values: Values, coords: Mapping[str, np.ndarray], rules: Rules, prior: Prior | None
    ) -> Declaration:
        constraint = self._constraint(values, prior)
        event_ndims = constraint.event_ndims if prior is None else len(prior.event_shape)
        cut = len(self.shape) - event_ndims
        batch, event = self.shape[: max(cut, 0)], self.shape[max(cut, 0) :]
        own = batch if prior is None else prior.batch_shape
        if cut < 0 or (prior and not spreads_to(own + prior.event_shape, self.shape)):
            self._refuse(constraint, prior)
        laid = lay_out(self.name, own, event, self.dims, (), coords, batch)
        spread = None if prior is None else Prior(prior.distribution, laid.batch_shape)
        if spread is not None and self.constraint is not None:
            spread = spread.within(constraint, self.name)
        choice = _released(self.bijector)
        if self.scale is not None:
            choice = self._scaled(constraint, choice, rules)
        return Declaration(self.name, constraint, self.shape, laid.dims, spread, choice)

    def fitted(self, value: Any) -> Array:
        """Bring a value, with any leading axes, to the dtype of the leaf."""
        array = jnp.asarray(value)
        return array if self.dtype is None else array.astype(self.dtype)

    def wrapped(self, value: Any) -> Any:
        """Put a value, with any leading axes, into the wrapper that it came from."""
        value = self.fitted(value)
        if self.node is None or self.inverse is None:
            return value
        place = next(i for i, leaf in enumerate(self.node.leaves) if eqx.is_inexact_array(leaf))
        return self.node.tree({place: self.inverse(value)})

    def _prior(self, values: Values, prior: Partition | None) -> Prior | None:
        if prior is None:
            return None
        found = self._settled(prior.tree(), values)
        distribution = prior_of(found, self.name)
        return Prior(distribution, tuple(distribution.batch_shape))

    def _constraint(self, values: Values, prior: Prior | None) -> Constraint:
        found = self._settled(_released(self.constraint), values)
        if found is None:
            return Real() if prior is None else prior.constraint(self.name)
        return set_of(found, self.name)

    def _settled(self, said: Any, values: Values) -> Any:
        """Ask a function, where that is what the user gave."""
        if not is_rule(said):
            return said
        try:
            return said(dict(values))
        except KeyError as error:
            raise ModelError(
                self.name,
                f"its prior or set asks for {error}, which is not settled before it",
                f"It may use {listed(values)}; leaves with such functions follow all others.",
            ) from error

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

    def _scaled(self, constraint: Constraint, choice: Any, rules: Rules) -> Chain:
        assert self.scale is not None
        outer = bijector_for(constraint, self.shape, choice, rules, self.name)
        shape = outer.unconstrained_shape(self.shape)
        return Chain(outer, repeat_over_batch(Affine(0.0, self.scale), shape))


def _set(place: Place, leaf: Leaf) -> Any:
    """Settle the set of a leaf; without prior or set, its numbers range freely."""
    if leaf.constraint is not None or leaf.prior is not None:
        fixed = leaf.constraint is not None and not is_rule(leaf.constraint)
        return set_of(leaf.constraint, place.name) if fixed else leaf.constraint
    dtype = getattr(place.present, "dtype", type(place.present))
    return Complex() if np.issubdtype(dtype, np.complexfloating) else Real()


def _held(said: Any, kind: type, name: str) -> Any:
    return said if said is None or isinstance(said, kind) else Partition.of(said, name)


def _released(held: Any) -> Any:
    return held.tree() if isinstance(held, Partition) else held
