"""Templates: what they may use, and how a page is rendered."""

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lcma.harness.results.lookup import label_options
from lcma.harness.show.meanings import MEANINGS
from lcma.harness.text import (
    format_duration,
    format_number,
    format_time,
    printable,
    printable_lines,
    short_id,
)

if TYPE_CHECKING:
    import jinja2
    import markupsafe

POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file:; "
    "img-src 'self' file: data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy of every page: nothing from the network, no inline script, no eval.

A page opened from a file has no origin that 'self' could be in some browsers, so `file:` is named
too; Vega runs by its interpreter, which needs no eval. A page may fetch of its own site, as an
audit of it does for robots.txt.
"""


TABS = (
    ("index.html", "Leaderboard"),
    ("compare.html", "Compare"),
    ("verdicts.html", "Verdicts"),
    ("paper.html", "Against the paper"),
    ("coverage.html", "Coverage"),
    ("trials.html", "Trials"),
    ("maps.html", "Maps"),
    ("budgets.html", "Budgets"),
    ("samples.html", "Samples"),
    ("failures.html", "Failures"),
    ("sql.html", "SQL"),
    ("about.html", "About these numbers"),
)
"""Pages of the navigation, and their names."""


def _mark_code(text: str) -> "markupsafe.Markup":
    """Return text, escaped, with what stands between backticks as code."""
    from markupsafe import Markup, escape

    parts = [escape(printable_lines(part)) for part in text.split("`")]
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def _show(value: Any) -> Any:
    # What a template shows, before it is escaped: a Markup stays one.
    if not isinstance(value, str) or value.isprintable():
        return value
    return type(value)(printable_lines(value))


@cache
def template_environment() -> "jinja2.Environment":
    """Return the package's templates: everything is escaped, an unknown name is an error."""
    import jinja2

    found = jinja2.Environment(
        loader=jinja2.PackageLoader("lcma.harness.show.site"),
        autoescape=True,
        finalize=_show,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {
        "code": _mark_code,
        "duration": format_duration,
        "number": format_number,
        "plain": printable,
        "options": label_options,
        "short": short_id,
        "time": format_time,
    }
    made_by = version("lcma").split("+")[0]
    found.globals |= {"tabs": TABS, "policy": POLICY, "meanings": MEANINGS, "version": made_by}
    return found


def render_page(template: str, path: str, **content: Any) -> bytes:
    """Return a page at a path of the site, from a template and what it shows."""
    root = "../" * path.count("/")
    page = template_environment().get_template(template)
    return page.render(path=path, root=root, **content).encode()


@cache
def read_asset(name: str) -> bytes:
    """Return a file of the folder `assets`."""
    return (files("lcma.harness.show.site") / "assets" / name).read_bytes()
