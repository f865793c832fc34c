"""The `site` argument of a model function, each call of which declares one quantity."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array

from bijectors.base import Bijector
from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import check_arguments
from ....counts import Count, Sizes
from ....errors import ModelError
from ...inputs.labels import Labels
from ...inputs.precision import as_array
from ...priors.centering import AUTO, Centered, is_auto
from ...priors.prior import Prior, prior_of
from ...priors.sets import set_of
from ...protocol.account import Account
from ...protocol.layout import (
    Plates,
    as_dims,
    compute_row_weight,
    lay_out,
    refuse_hidden,
    refuse_row_priors,
    take_seen_rows,
)  # fmt: skip
from ...protocol.missing import read_gaps
from ...protocol.reader import Reader
from ...protocol.site import Declaration, Part, Term
from .axes import divide_plate, index_rows, make_plate, name_axes, plate_size, refuse_minibatch
from .claims import join_name, refuse_taken, refuse_transformed
from .control_flow import ControlFlow, Flow
from .discrete import refuse_options, take_summed
from .observed import broadcast_to_value

Names = str | Sequence[str | None] | None


class Sites(ControlFlow):
    """The `site` argument of a model function: each call declares one quantity."""

    def __init__(
        self,
        reader: Reader,
        labels: Labels,
        account: Account,
        rules: Rules = RULES,
        prefix: str = "",
        plates: Plates = (),
        trace: Any = None,
    ) -> None:
        self._reader, self._coords, self._account = reader, labels.coords, account
        self._labels, self._rules, self._prefix, self._plates = labels, rules, prefix, plates
        self._trace = get_opaque_trace_state() if trace is None else trace

    @check_arguments("site")
    def __call__(
        self,
        name: str,
        prior: Any,
        *,
        dims: Names = None,
        shape: Sizes | None = None,
        centered: Centered = AUTO,
        constraint: Any = None,
        bijector: Bijector | str | None = None,
        sum_out: bool = False,
    ) -> Array:
        """Declare a latent site and return its value.

        Args:
            name: Name of the site, unique in the model.
            prior: Distribution of NumPyro or TFP; a discrete one needs `sum_out`.
            dims: Names of batch axes, then event axes; the prior is broadcast to them.
            shape: Batch shape to broadcast the prior to, if no coords give sizes.
            centered: True for the value itself. False for the map location + scale * y, for a
                prior that has both. A number c from 0 to 1, or one for each value, for the map in
                between: location + scale^(1 - c) * (y - c * location). By default "auto": if
                location or scale (or covariance) depends on other sites, samplers learn c in
                warm-up.
            constraint: A set to use instead of the prior's support: one of ours, a constraint of
                NumPyro or a bijector of TFP. The prior is not renormalized over it.
            bijector: A map to use instead of the default, or the name of a registered one. It may
                depend on values declared before or on learned parameters, and does not change
                the posterior.
            sum_out: Whether to sum over all values of a discrete site; see `infer.recover`.

        Returns:
            The value, of shape (*batch, *event). In a plate with a minibatch, the site has all
            rows, and the rows of the minibatch are returned.

        Raises:
            ModelError: The name is taken, the prior is discrete, or shapes do not fit.
        """
        name = self._claim(name)
        distribution = prior_of(prior, name)
        refuse_row_priors(name, tuple(distribution.batch_shape), self._plates)
        shapes = tuple(distribution.batch_shape), tuple(distribution.event_shape)
        batch, dims = lay_out(name, *shapes, as_dims(dims), self._plates, self._coords, shape)
        spread = Prior(distribution, batch)
        if sum_out:
            given = None if is_auto(centered) else centered
            refuse_options(name, centered=given, constraint=constraint, bijector=bijector)
            return take_summed(self._account, self._reader, name, spread, dims, self._plates)
        own = constraint is None
        if own:
            constraint = spread.constraint(name)
        else:
            constraint = set_of(constraint, name)
            spread = spread.within(constraint, name)
        learns = is_auto(centered) and bijector is None and own and spread.may_learn_centering()
        bijector = spread.choose_map(centered, bijector, name)
        whole = batch + spread.event_shape
        declaration = Declaration(name, constraint, whole, dims, spread, bijector, learns)
        image = self._account.take(self._reader, declaration)
        rows = spread.log_density(image.value, image.by_products)
        self._account.terms.append(Term(name, "prior", rows, spread.has_value))
        return take_seen_rows(image.value, self._plates, len(batch))

    @check_arguments("site.param")
    def param(
        self,
        name: str,
        constraint: Any,
        *,
        dims: Names = None,
        shape: Sizes | None = None,
        bijector: Bijector | str | None = None,
    ) -> Array:
        """Declare a latent site with a constraint and no prior (a flat one).

        The other arguments are those of a site with a prior; `shape` is its batch shape.
        """
        name = self._claim(name)
        constraint = set_of(constraint, name)
        whole = constraint.declared_shape
        event = whole[len(whole) - constraint.event_ndims :]
        own = whole[: len(whole) - constraint.event_ndims]
        laid = lay_out(name, own, event, as_dims(dims), self._plates, self._coords, shape)
        declaration = Declaration(
            name, constraint, laid.batch_shape + event, laid.dims, None, bijector
        )
        value = self._account.take(self._reader, declaration).value
        return take_seen_rows(value, self._plates, len(laid.batch_shape))

    @check_arguments("site.observe")
    def observe(
        self, name: str, prior: Any, value: Any, *, dims: Names = None, missing: Any = None
    ) -> Array:
        """Declare that `value` was observed from the distribution `prior`.

        Args:
            name: Name of the observation, unique in the model.
            prior: Distribution of NumPyro or TFP.
            value: Data of shape (*batch, *event); `None` to predict them.
            dims: Names of batch axes, then event axes.
            missing: True where an entry is missing; its shape broadcasts to (*batch,). It is
                passed to the model by `infer.static`. `value` is not used there, but must not be
                NaN. The missing entries are a latent site called "name.missing".

        Returns:
            The data, with the missing entries filled in; in a prediction, the predicted values.

        Raises:
            ModelError: The name is taken, the data hold NaN, or shapes do not fit.
        """
        given = self._claim(name)
        whole = None if value is None else as_array(given, value)
        distribution = prior_of(prior, given)
        spread = broadcast_to_value(
            given, distribution, value, as_dims(dims), self._plates, self._coords
        )
        gaps = read_gaps(given, missing, spread, self._plates)
        shown = whole if gaps is None or whole is None else gaps.hide(whole)
        seen = self._reader.observe(given, spread, shown)
        if seen is None:
            raise ModelError(
                given,
                "its value is None, so nothing was observed",
                "Give data, or predict them by infer.predict(model, posterior).",
            )
        self._record(self._account.observed, given, seen, dims)
        if gaps is None or whole is None:
            rows = spread.log_density(seen, {})
            self._enter(given, "likelihood", rows)
            return seen
        self._claim(f"{name}.missing")
        image = self._account.take(self._reader, gaps.declare(spread))
        seen = gaps.fill(whole, image.value) if seen is shown else seen
        known, unknown = gaps.split(spread.log_density(seen, {}))
        self._account.terms.append(Term(given, "likelihood", known))
        self._account.terms.append(Term(gaps.name, "prior", unknown))
        return seen

    @check_arguments("site.derive")
    def derive(self, name: str, value: Any, *, dims: Names = None) -> Array:
        """Record a quantity computed from others in the results; `dims` name its axes."""
        name = self._claim(name)
        return self._record(self._account.derived, name, as_array(name, value), dims)

    @check_arguments("site.factor")
    def factor(self, name: str, log_density: Any) -> None:
        """Add a term to the log density, in nats; its rows are summed.

        In a plate with a minibatch, rows are scaled up, as those of an observation are.
        """
        name = self._claim(name)
        rows = as_array(name, log_density)
        if any(plate.minibatch is not None for plate in self._plates):
            refuse_hidden(name, rows.shape, self._plates)
        self._enter(name, "factor", rows)

    @check_arguments("site.plate")
    @contextmanager
    def plate(
        self, name: str, size: Count | None = None, *, minibatch: Count | None = None,
        shard: bool = False,
    ) -> Iterator[Any]:  # fmt: skip
        """Repeat the sites declared inside, independently, along the dimension `name`.

        A plate is the rightmost batch axis of its sites, an inner plate the axis to its left.

        Args:
            name: Name of the dimension.
            size: Number of repetitions; by default the length of its `coords`.
            minibatch: Number of rows that each step of an engine sees. They are drawn at random
                at each step, without replacement, and their terms are multiplied by
                size / minibatch. ADVI and MAP with a first-order optimizer accept such a model,
                samplers do not.
            shard: Whether to divide its rows over all devices: data whose first axis is as long as
                the plate, and what is computed from them. See the page "Several devices".

        Yields:
            Indices of the rows, shape (size,) or (minibatch,), with which to index data; a slice
            of all rows with `shard`.

        Raises:
            ModelError: The plate has no size, or a minibatch or its division does not fit it.
        """
        size = plate_size(join_name("", name), size, self._coords)
        plate = make_plate(name, size, minibatch, self._reader)
        if shard:
            divide_plate(plate, self._account)
        outer = self._plates
        self._plates = (*outer, plate)
        try:
            yield index_rows(plate, shard)
        finally:
            self._plates = outer

    def _enter(self, name: str, role: Part, rows: Array) -> None:
        factor = compute_row_weight(self._plates)
        rows = rows if factor == 1 else rows * factor
        partial = any(plate.minibatch is not None for plate in self._plates)
        self._account.terms.append(Term(name, role, rows, is_partial=partial))

    @check_arguments("site.scope")
    def scope(self, prefix: str) -> "Sites":
        """Return a `site` for a sub-model, whose names all begin with "prefix."."""
        inner = f"{join_name(self._prefix, prefix)}."
        return self._make_site(self._reader, self._account, inner, self._trace)

    def _begin(self, where: str) -> Flow:
        refuse_minibatch(where, self._plates)
        refuse_transformed(where, self._trace)
        make_site = lambda reader, account: self._make_site(reader, account, self._prefix, None)  # noqa: E731
        return Flow(make_site, self._reader, self._account, self._rules, self._coords)

    def _make_site(self, reader: Reader, account: Account, prefix: str, trace: Any) -> "Sites":
        return Sites(reader, self._labels, account, self._rules, prefix, self._plates, trace)

    def _claim(self, name: str) -> str:
        whole = join_name(self._prefix, name)
        refuse_transformed(whole, self._trace)
        refuse_taken(whole, self._account.names(), self._coords)
        return whole

    def _record(self, where: dict[str, Any], name: str, value: Array, dims: Names) -> Array:
        where[name] = value
        named = name_axes(name, value, as_dims(dims), self._plates, self._coords)
        self._account.dims[name] = named
        return value
