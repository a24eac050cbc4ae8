"""How Sphinx makes the documentation site of these pages (`make docs`)."""

from importlib.metadata import version as installed_version
from typing import Any

project = "lcma"
author = "The lcma developers"
version = release = installed_version("lcma").split("+")[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_site", "images"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_typehints = "description"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = "lcma"
html_show_sourcelink = False
html_show_copyright = False


def setup(app: Any) -> None:
    """Let links to the benchmarks' page lead to the page that includes it."""

    def point_inside(app: Any, name: str, source: list[str]) -> None:
        source[0] = source[0].replace("](../benchmarks/README.md", "](benchmarks.md")

    app.connect("source-read", point_inside)
