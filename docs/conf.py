"""Settings of the documentation: Sphinx with MyST, and the package's own docstrings."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

project = "Pushforward"
author = "The Pushforward authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Pushforward"

myst_heading_anchors = 3
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True


def escape_markup(app, what, name, obj, options, lines):
    """Keep `|y|` and `*batch` in docstrings from being read as reStructuredText."""
    for number, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        parts[::2] = [re.sub(r"([*|\\])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def rejoin_property(app, what, name, obj, options, lines):
    """Put back what stands before a colon, which napoleon takes for a property's type."""
    types = [line for line in lines if line.startswith(":type: ")]
    if what == "property" and types:
        lines.remove(types[0])
        lines[0] = f"{types[0].removeprefix(':type: ')}: {lines[0]}"


def setup(app):
    """Work on docstrings before napoleon reads them, and after."""
    app.connect("autodoc-process-docstring", escape_markup, priority=1)
    app.connect("autodoc-process-docstring", rejoin_property, priority=900)
