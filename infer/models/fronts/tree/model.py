"""A model made of any pytree: leaves become sites, and the user's own type is put together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from bijectors.rule import Rules
from bijectors.table import RULES

from ....calls import checks_arguments
from ....errors import ModelError
from ...changes.freeze import decided, frozen
from ...inputs.data import Data
from ...inputs.foreign import as_array
from ...inputs.mistakes import refuse_unfit
from ...inputs.names import listed
from ...inputs.partition import Partition
from ...model import Account, Labels, Model, Reader, Surveyor
from ...protocol.minibatch import Minibatch, refuse_count, rows_of, taken
from ...protocol.site import Declaration, Term
from ...table import Row
from .accounting import Selector, account_for
from .branch import Branch
from .derived import Derived
from .flatten import Flat, Place, flatten
from .opened import closed
from .parameter import Read
from .shared_scores import Together

# Stands for `data=` left out, where None may be data.
_NO_DATA = object()


class TreeModel(Model):
    """A log likelihood of a user's tree, with sets and priors for some of its leaves.

    Attributes:
        log_likelihood: Called as `log_likelihood(tree, data)`.
        branches: The leaves that are sites, in the order in which they are taken.
        derived: Leaves made of the others.
        rest: All other leaves.
        known: Places of float leaves that are data, by path.
        paths: Path of every leaf.
        data: What the log likelihood takes beside the tree.
        rows: Rows of the table for what is no site.
        minibatch: How many rows of the data a step sees; `None` for all.
    """

    log_likelihood: Callable[..., Any] = eqx.field(static=True)
    branches: tuple[Branch, ...]
    derived: tuple[Derived, ...]
    rest: Partition
    known: tuple[tuple[str, int], ...] = eqx.field(static=True)
    paths: tuple[str, ...] = eqx.field(static=True)
    data: Data
    rows: tuple[Row, ...] = eqx.field(static=True)
    minibatch: int | None = eqx.field(static=True, default=None)

    def run(self, reader: Reader) -> Account:
        account = Account()
        values = self._take_all(reader, account)
        tree = closed(self.rest.tree(self._grown(values, account)))
        data, stands_for = self._seen(reader)
        returned = self.log_likelihood(tree, *data.values())
        rows = as_array("log likelihood", returned, "what it returns")
        rows = rows if stands_for == 1 else rows * stands_for
        account.terms.append(Term("log_likelihood", "likelihood", rows))
        return account

    def _seen(self, reader: Reader) -> tuple[dict[str, Any], float]:
        """Return the rows of the data that are seen, and for how many rows each of them stands."""
        data = self.data.tree()
        if self.minibatch is None:
            return data, 1.0
        size = rows_of(data)
        refuse_count("data", size, self.minibatch)
        rows = reader.rows(Minibatch("data", size, self.minibatch))
        return (data, 1.0) if rows is None else (taken(data, rows), size / rows.shape[0])

    def _take_all(self, reader: Reader, account: Account) -> dict[str, Array]:
        values = {name: self.rest.leaves[place] for name, place in self.known}
        priors, scored = {b.name: b.prior for b in self.branches}, Together()
        for branch in self.branches:
            lent = priors[branch.shares or branch.name]
            declaration = branch.declaration(values, self.labels.coords, self.rules, lent)
            image = account.take(reader, declaration)
            values[branch.name] = image.value
            prior = declaration.prior
            if prior is not None and prior.valued:
                rows = prior.log_density(image.value, image.by_products)
                account.terms.append(Term(branch.name, "prior", rows))
            elif prior is not None:
                scored.add(branch.shares or branch.name, declaration, image.value)
        account.terms += scored.terms()
        return values

    def _grown(self, values: Mapping[str, Array], account: Account) -> dict[int, Array]:
        """Say what stands at the places of sites, and of what is derived from them."""
        put = {}
        for branch in self.branches:
            put |= dict.fromkeys(branch.places, branch.fitted(values[branch.name]))
        for leaf in self.derived:
            value = leaf.value(closed(self.rest.tree(put)))
            put |= dict.fromkeys(leaf.places, value)
            account.derived[leaf.name] = value
            account.dims[leaf.name] = (None,) * value.ndim
        return put

    def constants(self) -> dict[str, np.ndarray]:
        data = {n.removeprefix("data."): array for n, array in self.data.arrays().items()}
        return data | {name: np.asarray(self.rest.leaves[place]) for name, place in self.known}

    def with_data(self, data: Any) -> "TreeModel":
        """Return the same model on other data; the same shapes compile nothing."""
        return self.changed(data=self.data.replace({"data": data}))

    def selected(self, selector: Any, names: Sequence[str]) -> list[str]:
        if isinstance(selector, str):
            return super().selected(selector, names)
        chosen = {self.paths[i] for i in self._flat().at(selector)}
        return [name for name in names if name in chosen]

    def initial_values(self) -> dict[str, Array]:
        return {b.name: b.initial for b in self.branches if b.initial is not None}

    def tree(self, values: Mapping[str, Any]) -> Any:
        missing = [branch.name for branch in self.branches if branch.name not in values]
        if missing:
            raise ModelError(
                missing[0],
                "no value is given for it",
                "Give a result of this very model, with the same leaves frozen; it has values "
                f"for {listed(values)}.",
            )
        put = {}
        for branch in self.branches:
            put |= dict.fromkeys(branch.places, branch.wrapped(values[branch.name]))
        for leaf in self.derived:
            given = leaf.name in values
            value = values[leaf.name] if given else leaf.value(closed(self.rest.tree(put)))
            put |= dict.fromkeys(leaf.places, jnp.asarray(value))
        return closed(self.rest.tree(put))

    def more_rows(self) -> tuple[Row, ...]:
        return self.rows

    def declarations(self) -> dict[str, Declaration]:
        """Find what the sites declare, without the log likelihood; nothing is computed."""
        account = Account()
        jax.eval_shape(lambda: self._take_all(Surveyor(self.rules), account))
        return {declaration.name: declaration for declaration in account.declarations}

    def leaf_names(self) -> list[str]:
        """Name every leaf of the model: by its path in the user's tree, or in the data."""
        sites = [part.name for part in (*self.branches, *self.derived) for _ in _leaves(part)]
        rest = zip(self.paths, self.rest.leaves, strict=True)
        return sites + [path for path, held in rest for _ in _leaves(held)] + self.data.leaf_names()

    def _flat(self) -> Flat:
        """List the leaves again, with the values of those that are sites."""
        places = [Place(path, None, None, [i]) for i, path in enumerate(self.paths)]
        for branch in self.branches:
            for i in branch.places:
                places[i] = Place(self.paths[i], branch.initial, None, [*branch.places])
        return Flat(places, self.rest.structure)


def _leaves(part: Any) -> list[Any]:
    return jax.tree.leaves(part)


@checks_arguments("infer.tree_model")
def tree_model(
    tree: Any,
    log_likelihood: Callable[..., Any],
    leaves: Mapping[Selector, Any] | Sequence[tuple[Selector, Any]],
    *,
    data: Any = _NO_DATA,
    rest: Any = None,
    coords: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
    rules: Rules = RULES,
    read: Read | Sequence[Read] = (),
    minibatch: int | None = None,
) -> Model:
    """Make a model of a pytree, some of whose leaves are inferred.

    Args:
        tree: Any pytree: dictionary, NamedTuple, dataclass, `equinox.Module`, `flax.nnx`
            module. Its float leaves have to be accounted for. Whole numbers, strings and
            callables are part of the program, arrays of whole numbers and random keys are
            data. A leaf to be inferred may be a `jax.ShapeDtypeStruct`.
        log_likelihood: Called as `log_likelihood(tree, data)`, or `log_likelihood(tree)`
            where no data are given, with a tree of the same type that holds constrained
            values. Returns nats, in one number or in rows that are summed.
        leaves: For each selector, what the leaves it selects are. A selector is a path, a glob
            of paths ("layers.*.weight"; `**` for any number of steps), a predicate called
            with path and leaf, or a function from the tree to leaves of it. A leaf is a
            `Leaf`, or in short its prior or its set; "frozen", "data" or "static"; or derived
            by a function of the tree.
        data: Any pytree of arrays.
        rest: What the float leaves are that nothing else is said of, such as "frozen".
        coords: Values of each named dimension.
        rules: Table of maps, your own rules first.
        read: Readers of wrapper nodes (`Parameter`), asked before the built-in ones.
        minibatch: How many rows of the data each step of an engine sees: the arrays of `data` are
            indexed along their first axis, and the log likelihood is scaled up. See
            `Sites.plate`.

    Returns:
        A model. Frozen leaves can be set free by `model.free`, and others frozen by
        `model.freeze`.

    Raises:
        ModelError: A float leaf is not accounted for, or is twice; a value lies outside its
            set; a prior does not fit its leaf; the data hold NaN.
    """
    given = () if data is _NO_DATA else (data,)
    called = "log_likelihood(tree, data)" if given else "log_likelihood(tree)"
    refuse_unfit("log likelihood", log_likelihood, (tree, *given), {}, called)
    pairs = list(leaves.items() if isinstance(leaves, Mapping) else leaves)
    globs = [selector for selector, _ in pairs if isinstance(selector, str)]
    flat = flatten(tree, [read] if callable(read) else read, globs)
    books = account_for(flat, pairs, rest)
    made = TreeModel(
        labels=Labels(coords),
        rules=rules,
        log_likelihood=log_likelihood,
        branches=tuple(books.branches),
        derived=tuple(books.derived),
        rest=Partition.join(books.pairs, flat.structure),
        known=tuple(books.data),
        paths=tuple(place.name for place in flat.places),
        data=Data.of({} if data is _NO_DATA else {"data": data}),
        rows=tuple(books.rows),
        minibatch=minibatch,
    )
    initial = made.initial_values()
    for name, declaration in made.declarations().items():
        if name in initial:
            decided(declaration, initial[name], "is, in the tree,")
    held = {name: initial[name] for name in books.frozen}
    return frozen(made, held) if held else made
