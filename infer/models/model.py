"""A model is a program that takes its sites from a reader, in order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr
from jaxtyping import Array

from bijectors.base import Image, Shape
from bijectors.registry import bijector_for
from bijectors.rule import Rules

from ..errors import ModelError
from ..types import Kinds, kinds
from .describe import described, summarized
from .html import html_table
from .inputs.data import Data
from .inputs.mistakes import Origins, traced_again, translated
from .inputs.names import matching
from .inputs.stacked import MEND, count_stacked, refuse_stacked, shapes_of
from .priors.from_tfp import TfpDistribution
from .priors.prior import Prior, unwrapped
from .protocol.clashes import refuse_clashes
from .protocol.layout import refuse_repeated
from .protocol.minibatch import Minibatch
from .protocol.site import Declaration, Power, Role, Site, Term
from .protocol.steps import Repeated, Steps
from .table import Row, Table


class Labels:
    """Coordinates of named dimensions; a program is made for their numbers, not for their values.

    Two are equal if every dimension has as many coordinates in one as in the other. So models
    that differ in the labels alone share one program.

    Raises:
        ModelError: The coordinates of a dimension are not a sequence.
    """

    def __init__(self, coords: Mapping[str, Sequence[Any] | np.ndarray] | None = None) -> None:
        self.coords = {name: _listed(name, values) for name, values in (coords or {}).items()}
        self._sizes = frozenset((name, len(values)) for name, values in self.coords.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Labels) and self._sizes == other._sizes

    def __hash__(self) -> int:
        return hash(self._sizes)


def _listed(dim: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ModelError(
            f"coords[{dim!r}]",
            f"{values!r} has {array.ndim} axes",
            "Give a label for each entry along the dimension, such as range(3).",
        )
    return array


class Reader(ABC):
    """Where a running model takes the values of its latent sites from."""

    @abstractmethod
    def take(self, declaration: Declaration) -> Image:
        """Return the value of the next latent site, with its map's by-products."""

    def rows(self, minibatch: Minibatch) -> Array | None:
        """Say which rows of a plate are seen; `None` stands for all of them."""
        return None

    def observe(self, name: str, prior: Prior, value: Array | None) -> Array | None:
        """Say what is observed: the data, unless the reader knows better."""
        return value

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        """Serve the steps of a scan, each of which takes the `repeated` sites in order."""
        raise ModelError("scan", f"{type(self).__name__} reads no scan", "Override Reader.steps.")


@dataclass
class Account:
    """What one run of a model said of itself.

    Attributes:
        declarations: Latent sites in the order they were taken.
        images: Their values and by-products.
        derived: Quantities computed from them, by name.
        observed: Observed data, by name.
        terms: Summands of the log density.
        dims: Dimension names of every site.
        frozen: Sites that a value was given for, which the reader was not asked for.
        powers: What views have made of terms, by name; empty unless the model is a view.
        reserved: Names declared outside, where this is the account of one step of a scan.
    """

    declarations: list[Declaration] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)
    derived: dict[str, Array] = field(default_factory=dict)
    observed: dict[str, Any] = field(default_factory=dict)
    terms: list[Term] = field(default_factory=list)
    dims: dict[str, tuple[str | None, ...]] = field(default_factory=dict)
    frozen: dict[str, Declaration] = field(default_factory=dict)
    powers: dict[str, Power] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()

    def names(self) -> set[str]:
        """List the names that are taken."""
        return {term.name for term in self.terms} | self.dims.keys() | self.reserved

    def take(self, reader: Reader, declaration: Declaration) -> Image:
        """Take one latent site from the reader and enter it."""
        image = reader.take(declaration)
        self.declarations.append(declaration)
        self.images[declaration.name] = image
        self.dims[declaration.name] = declaration.dims
        return image

    def values(self) -> dict[str, Array]:
        """Latent and derived values, by name."""
        return {name: image.value for name, image in self.images.items()} | self.derived

    def log_density(self) -> Array:
        """Sum the rows of all terms: the log density of the constrained values, in nats.

        NaN where a term is known by its score alone; the gradient is right all the same.
        """
        return jnp.asarray(sum(term.rows.sum() for term in self.terms))


class Model(eqx.Module):
    """A program over sites; its leaves are the data.

    Attributes:
        labels: Coordinates of the named dimensions.
        rules: The table of maps that the sites use.
        shapes: Shapes of the leaves when the model was made; see `stacked.py`.
    """

    labels: Labels = eqx.field(static=True)
    rules: Rules = eqx.field(static=True)
    shapes: tuple[Shape, ...] = eqx.field(static=True, init=False)

    def __post_init__(self) -> None:
        self.shapes = shapes_of(self)

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            # The sites of a stacked model are those of each of its models.
            count = count_stacked(self)
            sites = () if count else abstract(self).sites
            return summarized(f"{count} x {name}" if count else name, sites, self.data_shapes())
        except Exception:  # noqa: BLE001 - a model that cannot run is shown all the same
            return f"{name}(...)"

    def _repr_html_(self) -> str:
        try:
            table = self.table()
        except Exception:  # noqa: BLE001 - as above
            return html_table(repr(self), ())
        heads, rows = table.cells()
        return html_table(type(self).__name__, rows, table.remarks, heads)

    @abstractmethod
    def run(self, reader: Reader) -> Account:
        """Run once: take every latent site from `reader` and account for every term."""

    @abstractmethod
    def constants(self) -> dict[str, np.ndarray]:
        """Named arrays of data, on the host."""

    def data_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the data by name; nothing is copied."""
        data = getattr(self, "data", None)
        return {} if data is None else data.shapes()

    def with_rules(self, rules: Rules) -> "Model":
        """Return the same model with another table of maps, such as one of `bijectors.prefer`."""
        return self.changed(rules=rules)

    def with_coords(self, **coords: Sequence[Any] | np.ndarray) -> "Model":
        """Return the same model with other coordinates of some dimensions."""
        return self.changed(labels=Labels({**self.labels.coords, **coords}))

    def changed(self, **parts: Any) -> Any:
        """Return the same model with other fields; a stacked one is refused."""
        refuse_stacked(self)
        return replace(self, **parts)

    def freeze(
        self, *selectors: Any, at: Mapping[str, Any] | None = None, **values: Any
    ) -> "Model":
        """Hold latent sites at values: they leave the flat vector, and nothing moves them.

        The values are arguments of the program: others compile nothing, another set of
        frozen sites compiles once. Their prior stays a term of the log density.

        Args:
            selectors: Names or globs ("layers.*.weight"; `**` for any number of steps) of
                sites to hold where they are known to be; or a mapping of names to values. Of
                a tree also `where` lambdas (tree to leaves) and predicates (path and leaf).
            at: Values by name that the selectors look into, such as `optimum.values`.
            values: A value for each site, in the site's own space; it may be traced.

        Raises:
            ModelError: No such site, no value known, or one of a wrong shape or outside its
                set.
        """
        from .changes.freeze import freeze

        return freeze(self, selectors, at or {}, values)

    def free(self, *selectors: Any) -> "Model":
        """Let frozen sites move again: those selected, as `freeze` does, or all of them.

        Raises:
            ModelError: Nothing that is frozen is selected.
        """
        from .changes.freeze import free

        return free(self, selectors)

    def view(self, *selectors: Any, **powers: Any) -> "Model":
        """Keep some terms of the log density, or raise terms to powers.

        A power multiplies the log density of the constrained values; the maps' log-determinants
        stay whole, so that a tempered posterior is one in any coordinates. Powers are arguments
        of the program: others compile nothing. A power of 0 still computes its term, which must
        then be finite.

        Args:
            selectors: Terms to keep, by role ("prior", "likelihood", "factor"), name or glob;
                without any all are kept. Or a mapping of such selectors to powers.
            powers: A power for each selector; "posterior" selects all terms.

        Returns:
            A model that engines, `log_density` and all else take as they take any.

        Raises:
            ModelError: A selector selects no term, or a power is no number from zero on.
        """
        from .changes.view import view

        return view(self, selectors, powers)

    def condition(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """Declare that latent sites were observed: they are data from now on.

        Their prior becomes a likelihood. Other values compile nothing. To change what is observed
        already, see `with_data`.

        Args:
            values: A value for each site, by name.
            named: The same, for names that Python allows.

        Raises:
            ModelError: No such latent site, or a value of a wrong shape or outside its set.
        """
        from .changes.intervene import condition

        return condition(self, {**(values or {}), **named})

    def do(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """Set sites from outside, whatever would have made them so: Pearl's intervention.

        A site that is set, latent or observed, has its value downstream and no term of its own
        any more, so that nothing is learned from it. Other values compile nothing. With
        `infer.predict` this answers what would be observed if the sites were set so.

        Args:
            values: A value for each site, by name; one number stands for all entries.
            named: The same, for names that Python allows.

        Raises:
            ModelError: No such site, a value of a wrong shape, or a site of a scan.

        Source: Pearl (2009), Causality, section 3.2.
        """
        from .changes.intervene import do

        return do(self, {**(values or {}), **named})

    def parts(self) -> tuple["Model", dict[str, Array]]:
        """Return the model with all its sites free, and the values of those that are frozen."""
        return self, {}

    def selected(self, selector: Any, names: Sequence[str]) -> list[str]:
        """List which names a glob or a predicate selects."""
        if isinstance(selector, str):
            return matching(selector, names)
        return [name for name in names if selector(name)]

    def initial_values(self) -> dict[str, Array]:
        """Values that the latent sites had when the model was made, where they had any."""
        return {}

    def tree(self, values: Mapping[str, Any]) -> Any:
        """Put values of sites, by name, into the user's own tree.

        Raises:
            ModelError: The model was not made of a tree.
        """
        raise ModelError(
            "model", "it was not made of a tree", "infer.tree_model makes one of any pytree."
        )

    def table(self) -> Table:
        """Account for every quantity of the model: what it is, its shape, set, prior and map."""
        sites = _surveyed(self, as_numbers=True)[0]
        remarks = tuple(f"{site.name}: {site.remark}" for site in sites if site.remark)
        return Table(tuple(map(_row, sites)) + self.more_rows(), remarks)

    def describe(self) -> str:
        """Say of each latent site its set, map and prior, and in which space they live."""
        return described(_surveyed(self, as_numbers=True)[0])

    def more_rows(self) -> tuple[Row, ...]:
        """Rows of `table` for what is no site."""
        return ()


def _row(site: Site) -> Row:
    role = "free" if site.role == "latent" else site.role
    return Row(site.name, role, site.shape, site.constraint, site.prior, site.bijector)


class Surveyor(Reader):
    """A reader that hands out images of zero, to learn what a model asks for."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.unconstrained_shapes: dict[str, tuple[int, ...]] = {}
        self.bijectors: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.entries: dict[str, Callable[[], list[tuple[int, ...]]]] = {}
        self.minibatches: dict[str, Minibatch] = {}

    def take(self, declaration: Declaration) -> Image:
        d = declaration
        bijector = bijector_for(d.constraint, d.shape, d.bijector, self._rules, d.name)
        shape = bijector.unconstrained_shape(d.shape)
        self.unconstrained_shapes[d.name] = shape
        each = getattr(bijector, "each", bijector)
        self.bijectors[d.name] = type(each).__name__
        self.refusals[d.name] = each.why_no_log_det
        self.entries[d.name] = partial(bijector.entries, d.shape)
        # Behind a barrier, so that no reader of the program takes the zeros for known numbers.
        return bijector.image(jax.lax.optimization_barrier(jnp.zeros(shape)))

    def repeated(self, declaration: Declaration) -> Repeated:
        """Say what was found of a site that a step of a scan declares."""
        name = declaration.name
        return Repeated(
            name,
            self.unconstrained_shapes[name],
            self.bijectors[name],
            self.refusals[name],
            self.entries[name],
        )

    def steps(self, repeated: Sequence[Repeated], length: int) -> Steps:
        for site in repeated:
            self.unconstrained_shapes[site.name] = (length, *site.unconstrained_shape)
            self.bijectors[site.name] = site.bijector
            self.refusals[site.name] = site.why_no_log_det
            self.entries[site.name] = partial(_at_every_step, site.entries, length)
        return Steps(None, lambda _: Surveyor(self._rules), lambda _: None, lambda *_: None)

    def rows(self, minibatch: Minibatch) -> Array | None:
        known = self.minibatches.setdefault(minibatch.plate, minibatch)
        if known != minibatch:
            raise ModelError(
                minibatch.plate,
                f"its minibatch holds {minibatch.seen} of {minibatch.size} rows here, and "
                f"{known.seen} of {known.size} at a plate of the same name before",
                "A name stands for the same rows wherever it is used: make the sizes agree, or "
                "give the plates two names.",
            )
        return None


def _at_every_step(entries: Callable, length: int) -> list[tuple[int, ...]]:
    return [(step, *entry) for step in range(length) for entry in entries()]


def latent_sites(model: Model) -> tuple[Site, ...]:
    """Find the latent sites of a model by one abstract run, if it has any."""
    refuse_stacked(model)
    return tuple(site for site in abstract(model).sites if site.role == "latent")


def refuse_unless_model(model: Any, where: str = "model") -> None:
    """Raise if what is given for a model is none, or several in one."""
    if isinstance(model, list | tuple) and model and isinstance(model[0], Model):
        raise ModelError(
            where,
            f"a {type(model).__name__} of {len(model)} models is given to a call that takes one",
            MEND,
        )
    if not isinstance(model, Model):
        raise ModelError(
            where,
            f"a {type(model).__name__} is given, which is not what a front end returned",
            "Make a model of it: infer.model(f, y=y) of a function of `site`, "
            "infer.from_numpyro(f, y) of one for NumPyro, infer.from_tfp, infer.tree_model or "
            "infer.declared.",
        )
    refuse_stacked(model, where)


def survey(model: Model) -> tuple[Site, ...]:
    """Find the sites of a model by one abstract run; nothing is computed or compiled.

    Raises:
        ModelError: It is no model, has no latent site, or a term is not a real number.
    """
    refuse_unless_model(model)
    sites = abstract(model).sites
    if not any(site.role == "latent" for site in sites):
        frozen = [site.name for site in sites if site.role == "frozen"]
        raise (
            ModelError(
                "model",
                "every latent site is frozen, so there is nothing to infer",
                f"Free one: model.free({frozen[0]!r}).",
            )
            if frozen
            else ModelError(
                "model",
                "it has no latent site, so there is nothing to infer",
                'Declare one, such as site("mu", dist.Normal(0, 1)).',
            )
        )
    return sites


def minibatches(model: Model) -> tuple[Minibatch, ...]:
    """Find the plates of which a step sees a minibatch."""
    return abstract(model).minibatches


def entries(model: Model) -> dict[str, list[tuple[int, ...]]]:
    """List, for each latent site, the entry that each number of the flat vector is named after."""
    _, surveyor, _ = _surveyed(model)
    return {name: find() for name, find in surveyor.entries.items()}


class Abstract(NamedTuple):
    """What one abstract run of a model found.

    Attributes:
        sites: What the model declares.
        minibatches: Plates of which a step sees a minibatch.
        program: The run as a jaxpr, from the leaves of the model to its log density, its derived
            and its observed values. The latent sites are behind barriers.
    """

    sites: tuple[Site, ...]
    minibatches: tuple[Minibatch, ...]
    program: ClosedJaxpr


def abstract(model: Model) -> Abstract:
    """Run a model abstractly, once for all models that differ in their numbers alone."""
    return _abstract(kinds(model))


@lru_cache(maxsize=64)
def _abstract(model: Kinds) -> Abstract:
    sites, surveyor, program = _surveyed(model.outline())
    refuse_clashes({site.name: site.dims or (None,) * len(site.shape) for site in sites})
    return Abstract(sites, tuple(surveyor.minibatches.values()), program)


def _surveyed(
    model: Model, as_numbers: bool = False
) -> tuple[tuple[Site, ...], Surveyor, ClosedJaxpr]:
    """Run a model abstractly; `as_numbers` lets it see its data, so that no program may use it."""
    refuse_stacked(model)
    found: list[tuple[tuple[Site, ...], Surveyor]] = []
    given = () if as_numbers else (model,)

    def abstract_run(model: Model) -> Any:
        surveyor = Surveyor(model.rules)
        account = model.run(surveyor)
        refuse_repeated(account.dims)
        found.append((_sites(account, surveyor), surveyor))
        _check_terms(account.terms)
        return account.log_density(), account.derived, account.observed

    with translating(model):
        # Closed over, data stay numbers.
        run = partial(abstract_run, model) if as_numbers else abstract_run
        program = jax.make_jaxpr(run)(*given)
    return (*found[0], program)


class _Named(Surveyor):
    """Hands out values that JAX knows by the names of their sites, as far as they are given."""

    def __init__(self, rules: Rules, given: Mapping[str, Array]) -> None:
        super().__init__(rules)
        self._given = given
        self.outlines: dict[str, jax.ShapeDtypeStruct] = {}

    def take(self, declaration: Declaration) -> Image:
        image = super().take(declaration)
        outline = jax.ShapeDtypeStruct(image.value.shape, image.value.dtype)
        self.outlines[declaration.name] = outline
        return image._replace(value=self._given.get(declaration.name, image.value))


def translating(model: Model) -> AbstractContextManager[None]:
    """Translate what a run of a model inside the block raises; see `mistakes.translated`."""
    return translated(partial(_origins, model))


def _origins(model: Model) -> Origins:
    """Find out of which values a model that fails on a traced one has computed it.

    JAX says on which arguments of a function a value depends. So the model runs again, abstractly:
    once to find the shapes of the sites up to there, and once with arguments for their values.
    """
    outlines, message = {}, ""
    for _ in range(2):
        readers: list[_Named] = []

        def run(values: dict[str, Array], model: Model, readers: list[_Named] = readers) -> None:
            readers.append(_Named(model.rules, values))
            with traced_again():
                model.run(readers[0])

        try:
            jax.eval_shape(run, outlines, model)
        except Exception as error:  # noqa: BLE001 - the same as before, of which the words are read
            message = str(error)
        outlines = readers[0].outlines
    sites = [name for name in outlines if f"values[{name!r}]" in message]
    return Origins(sites, [name for path, name in _data_paths(model) if path in message])


def _data_paths(model: Model) -> list[tuple[str, str]]:
    """List the data of a model, by the path that JAX writes for each, and by their names."""
    is_data = lambda node: isinstance(node, Data)  # noqa: E731
    nodes, _ = jax.tree_util.tree_flatten_with_path(model, is_leaf=is_data)
    return [
        (f"model{jax.tree_util.keystr(path)}.parts.leaves[{i}]", name)
        for path, node in nodes
        if is_data(node)
        for i, name in zip(
            (i for i, leaf in enumerate(node.parts.leaves) if leaf is not None),
            node.leaf_names(),
            strict=True,
        )
    ]


def _sites(account: Account, surveyor: Surveyor) -> tuple[Site, ...]:
    unvalued = {term.name for term in account.terms if not term.valued}
    latent = [
        Site(
            d.name,
            "latent",
            type(d.constraint).__name__,
            surveyor.bijectors[d.name],
            d.shape,
            surveyor.unconstrained_shapes[d.name],
            d.dims,
            _prior_name(d),
            surveyor.refusals[d.name],
            d.name not in unvalued,
            "" if d.prior is None else d.prior.remark,
        )
        for d in account.declarations
    ]
    latent += [
        Site(n, "frozen", type(d.constraint).__name__, "", d.shape, (0,), d.dims, _prior_name(d))
        for n, d in account.frozen.items()
    ]
    rest: list[tuple[Role, Mapping[str, Any]]] = [
        ("derived", account.derived),
        ("observed", account.observed),
    ]
    others = [
        Site(name, role, "", "", tuple(jnp.shape(value)), (0,), account.dims[name])
        for role, values in rest
        for name, value in values.items()
    ]
    return tuple(latent + others)


def _prior_name(declaration: Declaration) -> str:
    if declaration.prior is None:
        return "flat"
    bare = unwrapped(declaration.prior.distribution)
    own = bare.distribution if isinstance(bare, TfpDistribution) else bare
    return type(own).__name__.lstrip("_")


def _check_terms(terms: list[Term]) -> None:
    for term in terms:
        if not jnp.issubdtype(term.rows.dtype, jnp.floating):
            raise ModelError(
                term.name,
                f"its log density has dtype {term.rows.dtype}",
                "Return real floating-point numbers.",
            )
