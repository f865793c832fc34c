"""Write a graph as text: for Mermaid, for Graphviz, and for people."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..protocol.table import align
from .boxes import Box, nest
from .nodes import Kind, Node


class _Style(NamedTuple):
    """How nodes of a kind look: brackets and style of Mermaid, attributes of Graphviz."""

    brackets: tuple[str, str]
    mermaid: str
    dot: str


_ROUND, _WHITE = ("([", "])"), "fill:#fff,stroke:#333,color:#000"
# As in PyMC's pictures, but for factors and what is set or frozen.
_STYLES: dict[Kind, _Style] = {
    "latent": _Style(_ROUND, _WHITE, "shape=ellipse"),
    "observed": _Style(_ROUND, "fill:#ccc,stroke:#333,color:#000", "shape=ellipse, style=filled"),
    "summed": _Style(_ROUND, f"{_WHITE},stroke-dasharray:4", "shape=ellipse, style=dashed"),
    "frozen": _Style(_ROUND, f"{_WHITE},stroke-width:3px", "shape=ellipse, penwidth=3"),
    "set": _Style(_ROUND, f"{_WHITE},stroke-width:3px", "shape=ellipse, penwidth=3"),
    "derived": _Style(("[", "]"), _WHITE, "shape=box"),
    "factor": _Style(("{{", "}}"), _WHITE, "shape=hexagon"),
    "data": _Style(
        ("(", ")"),
        "fill:#eee,stroke:#999,color:#000",
        'shape=box, style="rounded", color="#999999"',
    ),
}
_FONT = [
    '    graph [fontname="Helvetica,Arial,sans-serif", bgcolor="white"]',
    '    node [fontname="Helvetica,Arial,sans-serif"]',
]
_WORDS = {"summed": "summed out", "frozen": "frozen", "set": "set", "data": "data"}


def write_mermaid(nodes: Sequence[Node]) -> str:
    """Write the text of a flowchart of Mermaid."""
    ids = _number(nodes)
    lines = ["flowchart TD", *_mermaid_box(nest(nodes), ids, [0], "    ")]
    lines += [f"    {ids[p]} --> {ids[node.name]}" for node in nodes for p in node.parents]
    kinds: dict[Kind, None] = dict.fromkeys(node.kind for node in nodes)
    for kind in kinds:
        members = ",".join(ids[node.name] for node in nodes if node.kind == kind)
        lines += [f"    classDef {kind} {_STYLES[kind].mermaid}", f"    class {members} {kind}"]
    return "\n".join(lines)


def _mermaid_box(box: Box, ids: dict[str, str], count: list[int], indent: str) -> Iterator[str]:
    for node in box.nodes:
        left, right = _STYLES[node.kind].brackets
        text = "<br>".join(map(_escape_mermaid, _label(node)))
        yield f'{indent}{ids[node.name]}{left}"{text}"{right}'
    for inner in box.boxes:
        count[0] += 1
        yield f'{indent}subgraph plate{count[0]}["{_escape_mermaid(inner.label)}"]'
        yield from _mermaid_box(inner, ids, count, f"{indent}    ")
        yield f"{indent}end"


def write_dot(nodes: Sequence[Node]) -> str:
    """Write the text of a directed graph of Graphviz."""
    ids = _number(nodes)
    lines = ["digraph {", *_FONT, *_dot_box(nest(nodes), ids, [0], "    ")]
    lines += [f"    {ids[p]} -> {ids[node.name]}" for node in nodes for p in node.parents]
    return "\n".join([*lines, "}"])


def _dot_box(box: Box, ids: dict[str, str], count: list[int], indent: str) -> Iterator[str]:
    for node in box.nodes:
        text = "\\n".join(map(_escape_dot, _label(node)))
        yield f'{indent}{ids[node.name]} [label="{text}", {_STYLES[node.kind].dot}]'
    for inner in box.boxes:
        count[0] += 1
        yield f"{indent}subgraph cluster_{count[0]} {{"
        yield f'{indent}    label="{_escape_dot(inner.label)}"; labeljust=r; labelloc=b'
        yield from _dot_box(inner, ids, count, f"{indent}    ")
        yield f"{indent}}}"


def write_columns(nodes: Sequence[Node]) -> str:
    """Write a line for each node, with what it depends on."""
    rows = [
        (_with_shape(n), _WORDS.get(n.kind, n.kind), n.distribution, ", ".join(n.parents))
        for n in nodes
    ]
    return "\n".join(align([("name", "kind", "distribution", "depends on"), *rows]))


def _number(nodes: Sequence[Node]) -> dict[str, str]:
    """Give nodes names of letters and digits, which every text may contain."""
    return {node.name: f"n{i}" for i, node in enumerate(nodes)}


def _label(node: Node) -> list[str]:
    """Write the lines of a node: name and shape, distribution and set, and what is special."""
    about = ", ".join(filter(None, (node.distribution, node.set)))
    return [line for line in (_with_shape(node), about, _WORDS.get(node.kind)) if line]


def _with_shape(node: Node) -> str:
    return node.name + (f" [{', '.join(map(str, node.shape))}]" if node.shape else "")


def _escape_mermaid(text: str) -> str:
    codes = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;"}
    return "".join(codes.get(letter, letter) for letter in text)


def _escape_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
