"""A model is a program of a front end, with changes to it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, final

import equinox as eqx
import numpy as np
from jaxtyping import Array

from bijectors.base import Shape
from bijectors.rule import Rules

from .abstract import account_of, latent_names, run_abstractly, sites_of
from .changes.change import Change
from .changes.differentiate import Differentiate, GradientMode
from .changes.freeze import Freeze, values_left_frozen, values_to_freeze
from .changes.view import View
from .describe import describe_sites, summarize, tabulate
from .discrete.summed import run_summed
from .html import html_of_model
from .inputs.coded import code_new_columns
from .inputs.data import Data
from .inputs.labels import Labels
from .inputs.stacked import count_stacked, refuse_stacked, shapes_of
from .protocol.account import Account
from .protocol.program import Program
from .protocol.reader import Reader
from .protocol.site import Power
from .protocol.table import Table
from .running import running
from .surroundings import Surroundings, describe_surroundings

if TYPE_CHECKING:
    from .graph.drawing import Graph


@final
class Model(eqx.Module):
    """What a front end returns; its leaves are the data, and the values of changes.

    Attributes:
        labels: Coordinates of the named dimensions.
        rules: The table of maps that the sites use.
        program: What the front end made of the user's model.
        changes: Changes to it, the innermost first.
        surroundings: What the program's functions read; see `surroundings.renew`.
        shapes: Shapes of the leaves when the model was made; see `stacked.py`.
    """

    labels: Labels = eqx.field(static=True)
    rules: Rules = eqx.field(static=True)
    program: Program
    changes: tuple[Change, ...] = ()
    surroundings: Surroundings | None = eqx.field(static=True, default=None)
    shapes: tuple[Shape, ...] = eqx.field(static=True, init=False)

    def __post_init__(self) -> None:
        self.shapes = shapes_of(self)
        if self.surroundings is None:
            self.surroundings = describe_surroundings(self.program)

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            # The sites of a stacked model are those of each of its models.
            count = count_stacked(self)
            sites = () if count else run_abstractly(self).sites
            return summarize(f"{count} x {name}" if count else name, sites, self.data_shapes())
        except Exception:  # noqa: BLE001 - a model that cannot run can still be shown
            return f"{name}(...)"

    def _repr_html_(self) -> str:
        return html_of_model(self)

    def run(self, reader: Reader) -> Account:
        """Run once: take every latent site from `reader` and account for every term."""
        program = partial(self.program.run, labels=self.labels, rules=self.rules)
        run = partial(run_summed, program)
        for change in self.changes:
            run = partial(change.run, run)
        with running():
            return run(reader)

    @property
    def data(self) -> Data:
        """What the user's function takes beside its sites."""
        return self.program.data

    @property
    def frozen(self) -> dict[str, Any]:
        """Values of the frozen sites, by name."""
        return {n: v for c in self.changes if isinstance(c, Freeze) for n, v in c.values.items()}

    def constants(self) -> dict[str, np.ndarray]:
        """Return named arrays of data and of values that sites are held at, on the host."""
        return self.program.constants() | {n: np.asarray(v) for n, v in self._held().items()}

    def data_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the data by name; nothing is copied."""
        return self.program.data_shapes()

    def initial_values(self) -> dict[str, Array]:
        """Return the values that latent sites had when the model was made, if they had any."""
        held = self._held()
        return {n: value for n, value in self.program.initial_values().items() if n not in held}

    def tree(self, values: Mapping[str, Any]) -> Any:
        """Put values of sites, by name, into the user's own tree.

        Raises:
            ModelError: The model was not made of a tree.
        """
        return self.program.tree({**self._held(), **values})

    def powers(self) -> dict[str, Power]:
        """Find by an abstract run how views change each term, by name; empty without views."""
        has_view = any(isinstance(change, View) for change in self.changes)
        return account_of(self).powers if has_view else {}

    def with_data(self, *args: Any, **named: Any) -> "Model":
        """Return the same model on other data; the same shapes compile nothing.

        Data are named as they were when the model was made; `infer.declared` and
        `infer.tree_model` take one pytree. The values of changes are checked again.

        Raises:
            ModelError: The model has no such data, or a value does not fit any more.
        """
        args, named = code_new_columns(args, named, self.labels)
        whole = self.changed(program=self.program.with_data(*args, **named), changes=())
        return whole._with_all(self.changes)

    def with_rules(self, rules: Rules) -> "Model":
        """Return the same model with another table of maps, such as one of `bijectors.prefer`."""
        return self.changed(rules=rules, changes=())._with_all(self.changes)

    def with_coords(self, **coords: Any) -> "Model":
        """Return the same model with other coordinates of some dimensions."""
        return self.changed(labels=self.labels.replace(coords))

    def with_gradient(self, mode: GradientMode) -> "Model":
        """Return the same model, differentiated by "reverse" or "forward" mode, or not (`None`).

        Forward mode goes through a `while_loop`; it evaluates once for each free coordinate.
        """
        return self.with_change(Differentiate.checked(mode))

    def with_change(self, change: Change) -> "Model":
        """Return this model under one more change."""
        return self.changed(changes=(*self.changes, change))

    def changed(self, **parts: Any) -> "Model":
        """Return the same model with other fields; a stacked one is refused."""
        refuse_stacked(self)
        return replace(self, **parts)

    def freeze(
        self, *selectors: Any, at: Mapping[str, Any] | None = None, **values: Any
    ) -> "Model":
        """Hold latent sites at values: they leave the flat vector and do not move.

        The values are arguments of the program: other values compile nothing, another set of
        frozen sites compiles once. Their prior stays a term of the log density.

        Args:
            selectors: Names or globs ("layers.*.weight"; `**` for any number of steps) of
                sites to hold at their known values; or a mapping of names to values. For a tree
                also functions from the tree to leaves, and predicates of path and leaf.
            at: Known values by name, such as `optimum.values`.
            values: A value for each site, in the site's own space; it may be traced.

        Raises:
            ModelError: No such site, no value known, or one of a wrong shape or outside its
                set.
        """
        whole = self._unfrozen()
        known = {**whole.initial_values(), **self.frozen, **(at or {})}
        new = values_to_freeze(selectors, values, whole, known, self.program.select)
        return whole.with_change(Freeze.checked(whole, {**self.frozen, **new}))

    def free(self, *selectors: Any) -> "Model":
        """Free frozen sites: those selected, as `freeze` does, or all of them.

        Raises:
            ModelError: No frozen site is selected.
        """
        left = values_left_frozen(selectors, self.frozen, self.program.select)
        whole = self._unfrozen()
        return whole.with_change(Freeze.checked(whole, left)) if left else whole

    def view(self, *selectors: Any, **powers: Any) -> "Model":
        """Keep some terms of the log density, or raise terms to powers.

        A power multiplies the log density of the constrained values; the maps' log-determinants
        are not multiplied, so a tempered posterior is the same in any coordinates. Powers are
        arguments of the program: other powers compile nothing. A power of 0 still computes its
        term, which must then be finite.

        Args:
            selectors: Terms to keep, by role ("prior", "likelihood", "factor"), name or glob;
                by default all are kept. Or a mapping of such selectors to powers.
            powers: A power for each selector; "posterior" selects all terms.

        Returns:
            A model, which every call that takes a model accepts.

        Raises:
            ModelError: A selector selects no term, or a power is not a number of at least zero.
        """
        refuse_stacked(self)
        return self.with_change(View.checked(self, selectors, powers))

    def condition(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """Declare that latent sites were observed: they are data from now on.

        Their priors become likelihoods. Other values compile nothing. To change what was already
        observed, see `with_data`.

        Args:
            values: A value for each site, by name.
            named: The same, for names that are Python identifiers.

        Raises:
            ModelError: No such latent site, or a value of a wrong shape or outside its set.
        """
        from .changes.condition import Condition

        new = Condition.checked(self, {**(values or {}), **named}, latent_names(self))
        return self.with_change(new)

    def do(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> "Model":
        """Set sites from outside, whatever the model says of them: Pearl's intervention.

        A site that is set, latent or observed, keeps its value downstream but loses its own term,
        so that nothing is learned from it. Other values compile nothing. With `infer.predict`
        this predicts what would be observed if the sites were set to these values.

        Args:
            values: A value for each site, by name; one number stands for all entries.
            named: The same, for names that are Python identifiers.

        Raises:
            ModelError: No such site, a value of a wrong shape, or a site of a scan.

        Source: Pearl (2009), Causality, section 3.2.
        """
        from .changes.do import Do

        refuse_stacked(self)
        return self.with_change(Do.checked(self, {**(values or {}), **named}))

    def table(self) -> Table:
        """Account for every quantity of the model: what it is, its shape, set, prior and map."""
        return tabulate(sites_of(self), self.program.more_rows())

    def graph(self) -> "Graph":
        """Draw what depends on what: sites, derived values, factors, data, and plates as boxes."""
        from .graph.drawing import draw_graph

        return draw_graph(self)

    def describe(self) -> str:
        """Describe each latent site's set, map and prior, and in which space they live."""
        return describe_sites(sites_of(self))

    def _held(self) -> dict[str, Any]:
        """Return the values that changes hold sites at, by name; the outermost counts."""
        return {name: value for c in self.changes for name, value in c.held().items()}

    def _unfrozen(self) -> "Model":
        """Return this model with all frozen sites free; what is conditioned on stays."""
        return self.changed(changes=tuple(c for c in self.changes if not isinstance(c, Freeze)))

    def _with_all(self, changes: Sequence[Change]) -> "Model":
        """Make changes to this model, from the innermost out, and check their values."""
        model = self
        for change in changes:
            model = model.with_change(change.check_again(model))
        return model
