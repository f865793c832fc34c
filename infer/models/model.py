"""A model is a program that takes its sites from a reader, in order."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array

from bijectors.base import Shape
from bijectors.rule import Rules

from ..errors import ModelError
from .abstract import abstract, sites_of
from .describe import describe_sites, summarized
from .html import html_table
from .inputs.labels import Labels
from .inputs.names import match_names
from .inputs.stacked import count_stacked, refuse_stacked, shapes_of
from .protocol.account import Account
from .protocol.reader import Reader
from .protocol.site import Site
from .protocol.table import Row, Table


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
            return match_names(selector, names)
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
        sites = sites_of(self)
        remarks = tuple(f"{site.name}: {site.remark}" for site in sites if site.remark)
        return Table(tuple(map(_row, sites)) + self.more_rows(), remarks)

    def describe(self) -> str:
        """Say of each latent site its set, map and prior, and in which space they live."""
        return describe_sites(sites_of(self))

    def more_rows(self) -> tuple[Row, ...]:
        """Rows of `table` for what is no site."""
        return ()


def _row(site: Site) -> Row:
    role = "free" if site.role == "latent" else site.role
    return Row(site.name, role, site.shape, site.constraint, site.prior, site.bijector)
