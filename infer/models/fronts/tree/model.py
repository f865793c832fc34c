"""A model of any pytree: some leaves are sites, and results have the user's own type."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import check_arguments
from ....errors import ModelError
from ...changes.freeze import Freeze, is_inside
from ...inputs.coded import code_columns
from ...inputs.data import Data
from ...inputs.labels import Labels
from ...inputs.mistakes import refuse_unfit
from ...inputs.names import join_names, match_names
from ...inputs.partition import Partition
from ...inputs.precision import as_array
from ...model import Model
from ...protocol.account import Account
from ...protocol.minibatch import Minibatch, count_rows, refuse_count, take_rows
from ...protocol.observations import LOG_LIKELIHOOD, Observations
from ...protocol.program import Program
from ...protocol.reader import Reader
from ...protocol.site import Declaration, Term
from ...protocol.surveyor import Surveyor
from ...protocol.table import Row
from .derived import DerivedLeaf
from .flatten import FlatTree, TreeLeaf, flatten
from .leaf_site import LeafSite
from .objects import rebuild
from .parameter import Read
from .roles import Selector, assign_roles
from .shared_scores import SharedScoreTerms
from .sums import warn_of_mean

# The default of `data=`, since None may be data.
_NO_DATA = object()


class TreeProgram(Program):
    """A log likelihood of a user's tree, with sets and priors for some of its leaves.

    Attributes:
        log_likelihood: Called as `log_likelihood(tree, data)`.
        sites: The leaves that are sites, in the order in which they are taken.
        derived: Leaves that are computed from the others.
        rest: All other leaves.
        known: Path and index of each float leaf that is data.
        paths: Path of every leaf.
        data: What the log likelihood takes besides the tree.
        rows: Rows of the table for all leaves that are not sites.
        minibatch: How many rows of the data a step sees; `None` for all.
        observations: What the user says of rows and of simulated data.
    """

    log_likelihood: Callable[..., Any] = eqx.field(static=True)
    sites: tuple[LeafSite, ...]
    derived: tuple[DerivedLeaf, ...]
    rest: Partition
    known: tuple[tuple[str, int], ...] = eqx.field(static=True)
    paths: tuple[str, ...] = eqx.field(static=True)
    data: Data
    rows: tuple[Row, ...] = eqx.field(static=True)
    minibatch: int | None = eqx.field(static=True, default=None)
    observations: Observations = eqx.field(static=True, default=Observations())

    def run(self, reader: Reader, labels: Labels, rules: Rules) -> Account:
        account = Account()
        values = self._take_sites(reader, labels, rules, account)
        tree = rebuild(self.rest.tree(self._values_by_index(values, account)))
        data = self.observations.observe(reader, account, tree, self.data.tree())
        data, stands_for = self._seen(reader, data)
        returned = self.log_likelihood(tree, *data.values())
        rows = as_array("log likelihood", returned, "what it returns")
        self.observations.record_rows(account, tree, data, rows)
        rows = rows if stands_for == 1 else rows * stands_for
        account.terms.append(Term(LOG_LIKELIHOOD, "likelihood", rows))
        return account

    def _seen(self, reader: Reader, data: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """Return the rows of the data that a step sees, and how many rows each stands for."""
        size = 0 if self.minibatch is None else count_rows(data)
        # Other data may have fewer rows than a minibatch of the first ones.
        if self.minibatch is None or size <= self.minibatch:
            return data, 1.0
        rows = reader.rows(Minibatch("data", size, self.minibatch))
        return (data, 1.0) if rows is None else (take_rows(data, rows), size / rows.shape[0])

    def _take_sites(
        self, reader: Reader, labels: Labels, rules: Rules, account: Account
    ) -> dict[str, Array]:
        values = {name: self.rest.leaves[i] for name, i in self.known}
        priors, scored = {s.name: s.prior for s in self.sites}, SharedScoreTerms()
        for site in self.sites:
            shared = priors[site.shares or site.name]
            declaration = site.declaration(values, labels.coords, rules, shared)
            image = account.take(reader, declaration)
            values[site.name] = image.value
            prior = declaration.prior
            if prior is not None and prior.has_value:
                rows = prior.log_density(image.value, image.by_products)
                account.terms.append(Term(site.name, "prior", rows))
            elif prior is not None:
                scored.add(site.shares or site.name, declaration, image.value)
        account.terms += scored.terms()
        return values

    def _values_by_index(self, values: Mapping[str, Array], account: Account) -> dict[int, Array]:
        """Return the values of sites and of derived leaves, by the indices of their leaves."""
        put = {}
        for site in self.sites:
            put |= dict.fromkeys(site.indices, site.cast(values[site.name]))
        for leaf in self.derived:
            value = leaf.value(rebuild(self.rest.tree(put)))
            put |= dict.fromkeys(leaf.indices, value)
            account.derived[leaf.name] = value
            account.dims[leaf.name] = (None,) * value.ndim
        return put

    def constants(self) -> dict[str, np.ndarray]:
        data = {n.removeprefix("data."): array for n, array in self.data.arrays().items()}
        return data | {name: np.asarray(self.rest.leaves[i]) for name, i in self.known}

    def with_data(self, data: Any) -> "TreeProgram":
        """Return the same model on other data; the same shapes compile nothing."""
        return replace(self, data=self.data.replace({"data": data}))

    def select(self, selector: Any, names: Sequence[str]) -> list[str]:
        if isinstance(selector, str):
            return match_names(selector, names)
        chosen = {self.paths[i] for i in self._flat().select(selector)}
        return [name for name in names if name in chosen]

    def initial_values(self) -> dict[str, Array]:
        return {s.name: s.initial for s in self.sites if s.initial is not None}

    def tree(self, values: Mapping[str, Any]) -> Any:
        missing = [site.name for site in self.sites if site.name not in values]
        if missing:
            raise ModelError(
                missing[0],
                "no value is given for it",
                "Give a result of this model, with the same leaves frozen; this one has values for "
                f"{join_names(values)}.",
            )
        put = {}
        for site in self.sites:
            put |= dict.fromkeys(site.indices, site.wrap(values[site.name]))
        for leaf in self.derived:
            given = leaf.name in values
            value = values[leaf.name] if given else leaf.value(rebuild(self.rest.tree(put)))
            put |= dict.fromkeys(leaf.indices, jnp.asarray(value))
        return rebuild(self.rest.tree(put))

    def more_rows(self) -> tuple[Row, ...]:
        return self.rows

    def declarations(self, labels: Labels, rules: Rules) -> dict[str, Declaration]:
        """Return what the sites declare, without the log likelihood; nothing is computed."""
        account = Account()
        jax.eval_shape(lambda: self._take_sites(Surveyor(rules), labels, rules, account))
        return {declaration.name: declaration for declaration in account.declarations}

    def leaf_names(self) -> list[str]:
        """Name every leaf of the model: by its path in the user's tree, or in the data."""
        sites = [part.name for part in (*self.sites, *self.derived) for _ in _leaves(part)]
        rest = zip(self.paths, self.rest.leaves, strict=True)
        return sites + [path for path, leaf in rest for _ in _leaves(leaf)] + self.data.leaf_names()

    def _flat(self) -> FlatTree:
        """List the leaves again, with the values of those that are sites."""
        leaves = [TreeLeaf(path, None, None, [i]) for i, path in enumerate(self.paths)]
        for site in self.sites:
            for i in site.indices:
                leaves[i] = TreeLeaf(self.paths[i], site.initial, None, [*site.indices])
        return FlatTree(leaves, self.rest.structure)


def _leaves(part: Any) -> list[Any]:
    return jax.tree.leaves(part)


@check_arguments("infer.tree_model")
def tree_model(
    tree: Any,
    log_likelihood: Callable[..., Any],
    leaves: Mapping[str, Any] | Mapping[Selector, Any] | Sequence[tuple[Selector, Any]],
    *,
    data: Any = _NO_DATA,
    rest: Any = None,
    coords: Mapping[str, Any] | None = None,
    rules: Rules = RULES,
    read: Read | Sequence[Read] = (),
    minibatch: int | None = None,
    rows: Callable[..., Any] | None = None,
    simulate: Callable[..., Any] | None = None,
) -> Model:
    """Make a model of a pytree, some of whose leaves are inferred.

    Args:
        tree: Any pytree: dictionary, NamedTuple, dataclass, `equinox.Module`, `flax.nnx`
            module. Every float leaf must have a role. Whole numbers, strings and
            callables are part of the program, arrays of whole numbers and random keys are
            data. A leaf to be inferred may be a `jax.ShapeDtypeStruct`.
        log_likelihood: Called as `log_likelihood(tree, data)`, or `log_likelihood(tree)`
            if no data are given, with a tree of the same type that holds constrained
            values. Returns nats, as one number or as rows that are summed.
        leaves: For each selector, the role of the leaves it selects. A selector is a path, a glob
            of paths ("layers.*.weight"; `**` for any number of steps), a predicate called
            with path and leaf, or a function from the tree to leaves of it. A role is a
            `Leaf`, or for short its prior or its set; "frozen", "data" or "static"; or a
            function of the tree, from which the leaf is derived.
        data: Any pytree of arrays.
        rest: Role of the float leaves that no selector selects, such as "frozen".
        coords: Values of each named dimension.
        rules: Table of maps, your own rules first.
        read: Readers of wrapper nodes (`Parameter`), tried before the built-in ones.
        minibatch: Number of rows of the data that each step of an engine sees: the arrays of
            `data` are indexed along their first axis, and the log likelihood is scaled up. See
            `Sites.plate`. All rows of other data (`with_data`) that have no more rows than that.
        rows: Called as `rows(tree, data)`; returns the log likelihood of each row in nats, as an
            array or as arrays by name. Only `infer.log_likelihood` calls it; it is not needed if
            `log_likelihood` returns rows.
        simulate: Called as `simulate(key, tree, data)`; draws new data for `infer.predict` and
            `infer.calibrate`, and returns them by their names in `data`, `{"y": ...}`; or, for data
            that are no dictionary, all data with what is drawn in its place.

    Returns:
        A model. `model.free` frees frozen leaves, and `model.freeze` freezes others.

    Raises:
        ModelError: A float leaf has no role or two; a value lies outside its set; a prior does
            not fit its leaf; the data hold NaN.

    Warns:
        ModelWarning: The log likelihood of a minibatch seems to be a mean over its rows.
    """
    given = () if data is _NO_DATA else (data,)
    called = "log_likelihood(tree, data)" if given else "log_likelihood(tree)"
    refuse_unfit("log likelihood", log_likelihood, (tree, *given), {}, called)
    observations = Observations(rows, simulate)
    observations.check(tree, given, "tree, data" if given else "tree")
    pairs = list(leaves.items() if isinstance(leaves, Mapping) else leaves)
    globs = [selector for selector, _ in pairs if isinstance(selector, str)]
    flat = flatten(tree, [read] if callable(read) else read, globs)
    roles = assign_roles(flat, pairs, rest)
    named, labels = code_columns({} if data is _NO_DATA else {"data": data}, Labels(coords))
    program = TreeProgram(
        log_likelihood=log_likelihood,
        sites=tuple(roles.sites),
        derived=tuple(roles.derived),
        rest=Partition.join(roles.pairs, flat.structure),
        known=tuple(roles.data),
        paths=tuple(leaf.name for leaf in flat.leaves),
        data=Data.of(named),
        rows=tuple(roles.rows),
        minibatch=minibatch,
        observations=observations,
    )
    initial = program.initial_values()
    if minibatch is not None:
        given = program.data.tree()
        size = count_rows(given)
        refuse_count("data", size, minibatch)
        warn_of_mean(log_likelihood, lambda: program.tree(initial), given, size, minibatch)
    for name, declaration in program.declarations(labels, rules).items():
        if name in initial:
            is_inside(declaration, initial[name], "is, in the tree,")
    whole = Model(labels, rules, program)
    frozen = {name: initial[name] for name in roles.frozen}
    return whole.with_change(Freeze.checked(whole, frozen)) if frozen else whole
