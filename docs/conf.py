"""How Sphinx makes the documentation site of these pages (`make docs`)."""

import re
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from lcma.db import relations
from lcma.db.views import views

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

SCHEMA = "_generated/schema.md"
(Path(__file__).parent / SCHEMA).parent.mkdir(exist_ok=True)
(Path(__file__).parent / SCHEMA).write_text(relations.render_page(), encoding="utf-8")


def setup(app: Any) -> None:
    """Let links lead to what is a page of the site alone: the benchmarks, views and tables."""

    def point_inside(app: Any, name: str, source: list[str]) -> None:
        text = source[0].replace("](../benchmarks/README.md", "](benchmarks.md")
        if name == "database":
            text = text.replace("`lcma sql --schema`", f"[`lcma sql --schema`]({SCHEMA})")
            names = "|".join(views.tables)
            text = re.sub(rf"(?m)^\| `({names})` \|", rf"| [`\1`]({SCHEMA}#\1) |", text)
        source[0] = text

    app.connect("source-read", point_inside)
