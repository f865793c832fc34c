"""A model drawn as a graph."""

from typing import Any, NamedTuple

from ...errors import ModelError
from .nodes import Node, find_nodes
from .texts import write_columns, write_dot, write_mermaid


class Graph(NamedTuple):
    """A model as a graph, which notebooks draw and `print` writes as columns.

    An edge leads from a quantity to each one whose prior, likelihood, set, value or factor is
    computed from it directly. Latent sites are ellipses, observed ones shaded, those that are
    summed out dashed, frozen ones thick; derived values and data are boxes, factors hexagons. A box
    around nodes is a plate, that is a named axis along which they repeat.

    Attributes:
        nodes: Sites, derived values, factors, and arguments of the model on which these depend.
        remarks: What the graph does not show, as sentences.
    """

    nodes: tuple[Node, ...]
    remarks: tuple[str, ...] = ()

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """Pairs of names: a quantity, and one that depends on it directly."""
        return tuple((parent, node.name) for node in self.nodes for parent in node.parents)

    @property
    def mermaid(self) -> str:
        """The graph as text of Mermaid, which Markdown of GitHub and JupyterLab draws."""
        return write_mermaid(self.nodes)

    @property
    def dot(self) -> str:
        """The graph as text in Graphviz's language DOT."""
        return write_dot(self.nodes)

    def graphviz(self) -> Any:
        """Return the graph as a `graphviz.Source`, which renders it to a file.

        Raises:
            ModelError: The Python package graphviz is not installed.
        """
        try:
            import graphviz  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise _lacking("the Python package graphviz", "pip install graphviz") from error
        return graphviz.Source(self.dot)

    def svg(self) -> str:
        """Draw the graph by Graphviz, as text of an SVG picture.

        Raises:
            ModelError: The Python package graphviz or the program dot is not installed.
        """
        source = self.graphviz()
        try:
            return source.pipe(format="svg", encoding="utf-8")
        except FileNotFoundError as error:
            raise _lacking("Graphviz's program dot", "install Graphviz") from error

    def __str__(self) -> str:
        return "\n".join([write_columns(self.nodes), *self.remarks])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        text = {"text/plain": str(self)}
        try:
            return {**text, "image/svg+xml": self.svg()}
        except ModelError:
            below = "".join(f"\n\n{remark}" for remark in self.remarks)
            markdown = f"```mermaid\n{self.mermaid}\n```{below}"
            return {**text, "text/markdown": markdown, "text/vnd.mermaid": self.mermaid}


def draw_graph(model: Any) -> Graph:
    """Draw a model as a graph, from abstract runs of it; nothing is computed or compiled."""
    return Graph(*find_nodes(model))


def _lacking(what: str, how: str) -> ModelError:
    return ModelError("graph", f"{what} is not installed", f"{how}, or use graph.mermaid.")
