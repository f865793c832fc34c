"""Settings of the documentation: Sphinx with MyST, and the package's own docstrings."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

project = "Pushforward"
author = "The Pushforward authors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "mathml",
    "written_pages",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Pushforward"
html_show_copyright = False
html_favicon = html_logo = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2563a8", "color-brand-content": "#2563a8"},
    "dark_css_variables": {"color-brand-primary": "#7db4ee", "color-brand-content": "#7db4ee"},
}

myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "dollarmath"]
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
