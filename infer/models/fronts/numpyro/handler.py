"""A handler of NumPyro that answers the messages of a model from a reader."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array
from numpyro.contrib.control_flow.cond import cond_wrapper
from numpyro.distributions import constraints
from numpyro.distributions.distribution import Delta, Unit
from numpyro.primitives import Messenger

from bijectors.base import Shape
from bijectors.rule import Rules
from bijectors.sets.discrete import Discrete

from ....errors import ModelError
from ...branches import switch
from ...discrete.sum_out import take_discrete
from ...inputs.labels import Labels
from ...inputs.precision import as_array, read_observed
from ...inputs.units import refuse_units_inside
from ...priors.centering import AUTO, is_auto
from ...priors.power_law import with_right_slopes
from ...priors.prior import Prior, prior_of
from ...priors.sets import set_of
from ...priors.units import refuse_parameters_with_units
from ...priors.valued import is_valued, refuse_unvalued
from ...protocol.account import Account
from ...protocol.missing import refuse_discrete
from ...protocol.reader import Reader
from ...protocol.site import Declaration, Dims, Term
from ...scan import Axis, scan
from .axes import fill_names, own_name
from .branches import run_branches
from .claims import (
    refuse_mutable,
    refuse_random,
    refuse_taken,
    refuse_transformed,
    refuse_units_of_do,
)
from .distributions import is_scaled, refuse_misfit, refuse_scaled, without_masks
from .parameters import find_initial_shape
from .scan import HasStates, Message, bare, find_series, spread, substitute_series
from .states import Step, name_series, run_with_states


class Interpreter(Messenger):
    """The outermost handler: plates, masks and scales have processed a message before it.

    Attributes:
        account: What the model has declared so far.
    """

    def __init__(
        self, reader: Reader, labels: Labels, dims: Mapping[str, Dims], rules: Rules
    ) -> None:
        super().__init__()
        self.account, self._rules = Account(), rules
        self._reader, self._coords, self._given_dims = reader, labels.coords, dims
        self._sizes = {name: len(values) for name, values in labels.coords.items()}
        self._params: dict[str, Array] = {}
        self._scanned: set[str] = set()
        self._trace = get_opaque_trace_state()
        self._run_in_full: list[str] = []
        self._gives_keys = self._is_inside_step = False

    def process_message(self, msg: Message) -> None:
        """Give a site its value and enter it in the account."""
        handle = {
            "sample": self._sample,
            "deterministic": self._deterministic,
            "param": self._param,
            "plate": self._plate,
            "prng_key": self._prng_key,
            "mutable": refuse_mutable,
            "control_flow": self._control_flow,
        }.get(msg["type"])
        if handle is not None:
            handle(msg)

    def finish(self) -> Account:
        """Return the account, after checking that every name is used once."""
        account = self.account
        if not account.declarations:
            some = account.dims or account.terms
            raise ModelError(
                "model",
                "it has no latent site, so there is nothing to infer"
                if some
                else "it declared no site of NumPyro",
                'Call numpyro.sample in it, such as numpyro.sample("mu", dist.Normal(0, 1)).',
            )
        unknown = self._given_dims.keys() - account.dims.keys()
        if unknown:
            raise ModelError(
                min(unknown),
                "dims name it, but the model has no such site",
                f"Its sites are {', '.join(account.dims)}.",
            )
        for name in account.dims.keys() & self._sizes.keys():
            raise ModelError(
                name, "a site and a plate share the name", "Give every plate a name of its own."
            )
        return account

    def _sample(self, msg: Message) -> None:
        refuse_units_of_do(msg)
        msg["fn"] = with_right_slopes(msg["fn"])
        name, stripped = own_name(msg), bare(msg["fn"])
        if name in self._scanned:
            self._enter(msg, name, "prior", msg["fn"].log_prob(msg["value"]))
        elif isinstance(stripped, Unit):
            self._claim(name)
            refuse_parameters_with_units(name, msg["fn"], "term")
            self._enter(msg, name, "factor", msg["fn"].log_prob(msg["value"]))
        elif msg["is_observed"]:
            self._observed(msg, name)
        elif msg["value"] is not None or isinstance(stripped, Delta):
            self._known(msg, name)
        else:
            self._latent(msg, name)

    def _latent(self, msg: Message, name: str) -> None:
        self._claim(name)
        fn = spread(msg)
        fn = without_masks(fn) if self._fills_gaps(name) else fn
        batch, event = tuple(fn.batch_shape), tuple(fn.event_shape)
        prior = Prior(prior_of(fn, name), batch)
        constraint = prior.constraint(name)
        if self._fills_gaps(name):
            refuse_discrete(name.removesuffix("_unobserved"), constraint)
        is_flat = isinstance(bare(fn), dist.ImproperUniform)
        dims = self._axes(name, msg, batch + event, len(event))
        centered = msg["infer"].get("centered", AUTO)
        declaration = Declaration(
            name, constraint, batch + event, dims, None if is_flat else prior,
            prior.choose_map(centered, None, name),
            is_auto(centered) and prior.may_learn_centering(),
        )  # fmt: skip
        if isinstance(constraint, Discrete) and msg["infer"].get("enumerate") == "parallel":
            refuse_scaled(name, msg["scale"])
            msg["value"] = take_discrete(self.account, self._reader, declaration)
            return
        image = self.account.take(self._reader, declaration)
        if not is_flat:
            rows = prior.log_density(image.value, image.by_products)
            self._enter(msg, name, "prior", rows)
        msg["value"] = image.value

    def _fills_gaps(self, name: str) -> bool:
        """Return whether this is the site that `obs_mask` makes for missing entries.

        NumPyro gives the observed entries of that site no density. They are used nowhere, so
        giving them their prior changes no other marginal and makes the posterior proper.
        """
        whole = name.removesuffix("_unobserved")
        return whole != name and f"{whole}_observed" in self.account.observed

    def _observed(self, msg: Message, name: str) -> None:
        self._claim(name)
        msg["value"] = read_observed(name, msg["value"])
        refuse_unvalued(name, msg["fn"])
        fn, value = msg["fn"], jnp.asarray(msg["value"])
        refuse_misfit(name, value, fn, self._run_in_full)
        whole = np.broadcast_shapes(value.shape, tuple(fn.shape()))
        prior = Prior(prior_of(fn, name), whole[: len(whole) - fn.event_dim])
        msg["value"] = value = jnp.asarray(self._reader.observe(name, prior, value))
        self.account.observed[name] = value
        self.account.dims[name] = self._axes(name, msg, value.shape, fn.event_dim)
        self._enter(msg, name, "likelihood", fn.log_prob(value))

    def _known(self, msg: Message, name: str) -> None:
        """Enter a site that is not observed, but whose value is known."""
        self._claim(name)
        fn = spread(msg)
        refuse_parameters_with_units(name, fn, "prior")
        value = as_array(name, fn.sample(None) if msg["value"] is None else msg["value"])
        self._derive(msg, name, value, fn.event_dim)
        if is_valued(fn):
            # If only a score is known, this constant has no value, and is not needed.
            self._enter(msg, name, "prior", fn.log_prob(value))
        msg["value"] = value

    def _deterministic(self, msg: Message) -> None:
        name = self._claim(own_name(msg))
        refuse_units_inside(name, msg["value"])
        if jax.tree.structure(msg["value"]) != jax.tree.structure(0):
            raise ModelError(
                name,
                f"its value is a {type(msg['value']).__name__}, not an array",
                "Record each array by its own numpyro.deterministic.",
            )
        self._derive(msg, name, jnp.asarray(msg["value"]), 0)

    def _derive(self, msg: Message, name: str, value: Array, event_ndims: int) -> None:
        self.account.derived[name] = value
        self.account.dims[name] = self._axes(name, msg, value.shape, event_ndims)

    def _param(self, msg: Message) -> None:
        name = own_name(msg)
        if name not in self._params:
            self._params[name] = self._new_param(msg, self._claim(name))
        msg["value"] = self._params[name]

    def _new_param(self, msg: Message, name: str) -> Array:
        if msg.get("_control_flow_done") or self._is_inside_step:
            raise ModelError(
                name,
                "numpyro.param is declared inside a scan or a cond",
                "Declare it before the scan or cond, and use its value inside.",
            )
        event_ndims = msg["kwargs"].get("event_dim")
        if msg["value"] is not None:
            value = as_array(name, msg["value"])
            self._derive(msg, name, value, value.ndim if event_ndims is None else event_ndims)
            return value
        self._gives_keys = True
        shape = find_initial_shape(msg, name)
        self._gives_keys = False
        constraint = set_of(msg["kwargs"].get("constraint", constraints.real), name)
        dims = self._axes(name, msg, shape, len(shape) if event_ndims is None else event_ndims)
        return self.account.take(self._reader, Declaration(name, constraint, shape, dims)).value

    def _plate(self, msg: Message) -> None:
        """Use all rows of a subsampled plate, unless its indices were given."""
        if msg["value"] is None:
            size, _ = msg["args"]
            msg["value"], msg["args"] = jnp.arange(size), (size, size)
            self._run_in_full.append(msg["name"])

    def _prng_key(self, msg: Message) -> None:
        if self._gives_keys:
            msg["value"] = jax.random.key(0)
        elif msg["kwargs"]["rng_key"] is None:
            refuse_random()

    def _control_flow(self, msg: Message) -> None:
        """Take the values of every latent site of a scan for all its steps, before it runs."""
        if msg["fn"] is cond_wrapper:
            msg["value"] = run_branches(msg, self._run_branches)
            return
        refuse_units_inside("scan", msg["args"])
        try:
            series = find_series(msg)
        except HasStates:
            msg["value"] = run_with_states(msg, self._run_steps)
            return
        values = {}
        for site in series:
            name = self._claim(own_name(site.message))
            self._scanned.add(name)
            event = site.prior.event_shape
            shape = site.prior.batch_shape + event
            dims = self._axes(name, site.message, shape, len(event))
            declaration = Declaration(name, site.constraint, shape, dims, site.prior)
            values[site.inner_name] = self.account.take(self._reader, declaration).value
        substitute_series(msg, values)

    def _run_steps(self, step: Step, carry: Any, xs: Any, length: int, reverse: bool) -> Any:
        """Run a scan step by step, as `site.scan` does, under the handlers around it."""

        def run(site: tuple[Reader, Account], carry: Any, x: Any) -> Any:
            with self._inside(*site):
                return step(carry, x)

        make_site = lambda reader, account: (reader, account)  # noqa: E731
        with self._naming() as account:
            return scan(
                run, (carry, xs), Axis(length, None), reverse, make_site,
                self._reader, account, self._rules,
            )  # fmt: skip

    def _run_branches(self, index: Array, branches: Sequence[Callable[[], Any]]) -> Any:
        """Run a cond as `site.cond` does, under the handlers around it."""

        def run(branch: Callable[[], Any], reader: Reader, account: Account) -> Any:
            with self._inside(reader, account):
                return branch()

        with self._naming() as account:
            runs = [partial(run, branch) for branch in branches]
            return switch(index, runs, self._reader, account, self._rules, "cond")

    @contextmanager
    def _naming(self) -> Iterator[Account]:
        """Name the axes of what is declared inside a scan or a cond, as the user asked."""
        before, account = set(self.account.dims), self.account
        yield account
        for name, dim, size in name_series(account, before, self._given_dims):
            self._check_size(name, dim, size)

    @contextmanager
    def _inside(self, reader: Reader, account: Account) -> Iterator[None]:
        """Answer from the reader of one step of a scan, and enter what it declares."""
        outside = self.account, self._reader, self._given_dims, self._trace
        self.account, self._reader, self._is_inside_step = account, reader, True
        self._given_dims, self._trace = {}, get_opaque_trace_state()
        try:
            yield
        finally:
            self.account, self._reader, self._given_dims, self._trace = outside
            self._is_inside_step = False

    def _claim(self, name: str) -> str:
        refuse_taken(name, self.account.names())
        refuse_transformed(name, self._trace)
        return name

    def _enter(self, msg: Message, name: str, role: Any, rows: Any) -> None:
        rows = jnp.asarray(rows)
        rows = rows if msg["scale"] is None else as_array(name, msg["scale"], "its scale") * rows
        whole = not jnp.issubdtype(rows.dtype, jnp.inexact)
        rows = rows.astype(float) if whole else rows
        own = Term(name, role, rows, is_valued(msg["fn"]), is_scaled=is_scaled(msg["scale"]))
        self.account.terms.append(own)

    def _axes(self, name: str, msg: Message, shape: Shape, event_ndims: int) -> Dims:
        """Name the axes of a value: by its plates, by `event_dims`, and by the user's dims."""
        names: list[str | None] = [None] * len(shape)
        at = {len(shape) - event_ndims + f.dim: f for f in msg["cond_indep_stack"]}
        if all(axis >= 0 and shape[axis] == frame.size for axis, frame in at.items()):
            for axis, frame in at.items():
                names[axis] = frame.name.replace("/", ".")
        hints = tuple(msg.get("infer", {}).get("event_dims", ()))
        last = (None,) * (len(shape) - len(hints)) + hints
        for dims in (last, self._given_dims.get(name, ())):
            names = fill_names(name, names, dims, shape)
        for dim, size in zip(names, shape, strict=True):
            self._check_size(name, dim, size)
        return tuple(names)

    def _check_size(self, name: str, dim: str | None, size: int) -> None:
        if dim is not None and self._sizes.setdefault(dim, size) != size:
            raise ModelError(
                name,
                f"dimension {dim!r} has size {size} here, and {self._sizes[dim]} "
                + ("in coords" if dim in self._coords else "at an earlier site"),
                "Give plates of different sizes different names, and every entry a coordinate.",
            )
