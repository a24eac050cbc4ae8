"""Configuration of Sphinx, which makes the documentation site of these pages (`make docs`)."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from lcma.db.views import views

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from docs.reference import list_commands, write_pages  # noqa: E402  # found by the line above

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
html_search_scorer = str(HERE / "search_scorer.js")

write_pages(HERE / "_generated")

COMMANDS = "|".join(sorted((name for name, _ in list_commands()), key=len, reverse=True))
COMMAND = re.compile(rf"(?<!\[)`lcma ({COMMANDS})(?: --help)?`(?!\])")
LINKS = {
    "`lcma sql --schema`": "[`lcma sql --schema`](_generated/schema.md)",
    "](../benchmarks/README.md": "](benchmarks.md",
    "*every key*": "[every key](_generated/keys.md)",
    "*table of measures*": "[table of measures](_generated/measures.md)",
    "*all commands and options*": "[all commands and options](_generated/commands.md)",
}


def link_reference(app: Any, name: str, source: list[str]) -> None:
    """Link pages that only the site has: commands, views, tables and the benchmarks."""
    if name.startswith("_generated/"):
        return
    text = source[0]
    for written, linked in LINKS.items():
        text = text.replace(written, linked)
    text = COMMAND.sub(_link_command, text)
    if name == "database":
        view = rf"(?m)^\| `({'|'.join(views.tables)})` \|"
        text = re.sub(view, r"| [`\1`](_generated/schema.md#\1) |", text)
    source[0] = text


def _link_command(match: re.Match[str]) -> str:
    anchor = f"lcma {match[1]}".replace(" ", "-")
    return f"[{match[0]}](_generated/commands.md#{anchor})"


def write_llms_txt(app: Any, error: Exception | None) -> None:
    """Write `llms.txt`: every page in the order of the index, with its first sentence."""
    if error is not None or app.builder.format != "html":
        return
    index = (HERE / "index.md").read_text(encoding="utf-8")
    lines = ["# lcma", "", f"> {_find_first_paragraph(index)}"]
    for block in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL):
        (caption,) = re.findall(r"^:caption: (.*)$", block, re.MULTILINE)
        lines += ["", f"## {caption}", ""]
        for name in re.findall(r"^[\w/-]+$", block, re.MULTILINE):
            paragraph = _find_first_paragraph((HERE / f"{name}.md").read_text(encoding="utf-8"))
            place = f"_sources/{name}.md.txt" if paragraph else f"{name}.html"
            about = re.split(r"(?<=[.?])\s", paragraph)[0] or "measured speed"
            lines.append(f"- [{app.env.titles[name].astext()}]({place}): {about}")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _find_first_paragraph(text: str) -> str:
    """Return the first paragraph without its markup; '' if the page has none."""
    paragraphs = re.split(r"\n\s*\n", text)
    first = next((text for text in paragraphs if re.match(r"(?!```)[A-Za-z`*\[]", text)), "")
    return re.sub(r"\]\([^)]*\)|[\[*]", "", " ".join(first.split()))


def setup(app: Any) -> None:
    """Connect the functions that change pages before the build and write `llms.txt` after it."""
    app.connect("source-read", link_reference)
    app.connect("build-finished", write_llms_txt)
