"""The graph of a model of PyMC that its log density needs, linked to JAX."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bijectors.base import Shape

from ....errors import ModelError
from .contents import Contents, Variable
from .draws import Draws
from .library import library
from .linked import Evaluation, Key, Linked
from .priors import Family, family_of
from .refusals import refuse_discrete


class Density:
    """The graphs of one model, for data of given shapes.

    Attributes:
        contents: What the model declares.
        draws: How its variables are drawn.
        families: The families of free variables that NumPyro has too, by name.
        event_ndims: Rank of one value of each variable that has no such family.
    """

    def __init__(self, model: Any, shapes: Mapping[str, Shape]) -> None:
        self.contents = Contents(model, shapes)
        self.draws = Draws(self.contents)
        self.families = dict(_find_families(self.contents.variables))
        self.event_ndims: dict[str, int] = {}
        outputs = self._list_parts() | self._list_rows()
        self._linked = Linked(self.contents.inputs, outputs)

    @classmethod
    def of(cls, model: Any) -> "Density":
        """Make the graphs of a model, on its own data.

        Raises:
            ModelError: PyMC cannot make its log density, or it has no meaning here.
        """
        try:
            return cls(model, {})
        except ModelError:
            raise
        except (NotImplementedError, TypeError, ValueError) as error:
            said = " ".join(str(error).split()).rstrip(".")
            raise ModelError(
                _find_without_density(model),
                f"PyMC has no log density of it: {said}",
                "Change the model until model.compile_logp() works.",
            ) from error

    def evaluate(self, data: Mapping[str, Any]) -> Evaluation:
        """Begin an evaluation at some data."""
        return Evaluation(self._linked, {Key("data", name): a for name, a in data.items()})

    def refuse_beyond(self, data: Mapping[str, Any]) -> None:
        """Raise if an index that depends on data alone is out of range.

        Raises:
            ModelError: It is; the name is that of the variable that needs it.
        """
        at = self.evaluate(data)
        for key, lookup in self._linked.lookups.items():
            lookup.refuse_beyond(key.name, at.of(key))

    def with_shapes(self, shapes: Mapping[str, Shape]) -> "Density":
        """Return the graphs for data of other shapes.

        Raises:
            ModelError: The shapes do not fit each other.
        """
        before, model = self.contents.shapes, self.contents.model
        if dict(shapes) == before:
            return self
        try:
            # One row would be broadcast to those of other data, which PyMC does not allow.
            several = _lengthen(before, shapes)
            if several != dict(shapes):
                Density(model, several)
            return Density(model, shapes)
        except ModelError:
            raise
        except ValueError as error:
            changed = {name: shape for name, shape in shapes.items() if shape != before[name]}
            raise ModelError(
                "data",
                f"the shapes {changed} do not fit the rest of the model: {error}",
                "Give other data of the same length too.",
            ) from error

    def _list_parts(self) -> dict[Key, Any]:
        """List parameters of families, bounds of sets, deterministics and potentials."""
        model, graphs = self.contents.model, {}
        for one in self.contents.variables:
            family = self.families.get(one.name)
            for kind, own in (
                ("parameter", family.parameters if family else ()),
                ("bound", one.reach.bounds if one.reach else ()),
            ):
                graphs |= {Key(kind, one.name, i): graph for i, graph in enumerate(own)}
        for kind, found in (("derived", model.deterministics), ("potential", model.potentials)):
            graphs |= {Key(kind, variable.name): variable for variable in found}
        return dict(zip(graphs, self.contents.in_values(list(graphs.values())), strict=True))

    def _list_rows(self) -> dict[Key, Any]:
        """List the log densities that no family has, and what was observed."""
        contents, graphs = self.contents, {}
        rows = library().pymc.logprob.basic.conditional_logp(contents.values(), warn_rvs=False)
        for one in contents.variables:
            if one.name not in self.families:
                own = rows[contents.inputs[Key("value", one.name)]]
                graphs[Key("rows", one.name)] = own
                self.event_ndims[one.name] = len(one.shape) - own.ndim
            if one.is_observed:
                graphs[Key("observed", one.name)] = contents.observation(one)
        return dict(zip(graphs, contents.with_data(list(graphs.values())), strict=True))


def _lengthen(before: Mapping[str, Shape], after: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return shapes in which axes that became one long have a length of no other axis."""
    other = 1 + max((n for shape in (*before.values(), *after.values()) for n in shape), default=1)
    return {
        name: tuple(
            other if new == 1 and old != 1 else new
            for new, old in zip(shape, before[name], strict=True)
        )
        if len(shape) == len(before[name])
        else shape
        for name, shape in after.items()
    }


def _find_without_density(model: Any) -> str:
    """Name the first variable whose log density PyMC cannot make."""
    logp = library().pymc.logp
    for random in model.basic_RVs:
        try:
            logp(random, model.rvs_to_values[random])
        except (NotImplementedError, TypeError, ValueError):
            return str(random.name)
    return "model"


def _find_families(variables: Sequence[Variable]) -> Iterator[tuple[str, Family]]:
    for one in variables:
        family = None if one.is_observed else family_of(one.random)
        if one.is_discrete and not one.is_observed and family is None:
            refuse_discrete(one.name, one.random)
        if family is not None and (one.reach is None or one.reach.is_default):
            yield one.name, family
