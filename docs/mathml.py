"""Formulas as MathML, which browsers show without a script or a font of their own."""

from docutils import nodes
from latex2mathml.converter import convert


def visit_inline(writer, node):
    """Write a formula inside a line."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def visit_block(writer, node):
    """Write a formula on lines of its own."""
    writer.body.append(f"<div>{convert(node.astext(), display='block')}</div>")
    raise nodes.SkipNode


def setup(app):
    """Make it the renderer of a page's formulas."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True}
