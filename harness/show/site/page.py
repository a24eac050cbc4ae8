"""The first page: the answer, readable without a script."""

from functools import cache

import jinja2

from lcma.harness.show.board import sum_up_low
from lcma.harness.show.site.database import SiteDatabase
from lcma.harness.text import printable_lines

POLICY = (
    "default-src 'none'; script-src 'self' file: 'wasm-unsafe-eval'; style-src 'self' file:; "
    "img-src 'self' file: data:; worker-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy: nothing from the network, no inline script, no eval.

A page opened from a file has no origin that 'self' could be in some browsers, so `file:` is named
too. WebAssembly runs SQLite, in a worker; Vega runs by its interpreter, which needs no eval.
"""

VIEWS = ("board", "compare", "rules", "claims", "maps", "budgets", "trials", "sql", "about")
"""Views of the navigation beside the first, which the script draws."""


@cache
def template_environment() -> jinja2.Environment:
    """Return the package's templates: everything is escaped, an unknown name is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("lcma.harness.show.site"),
        autoescape=True,
        finalize=lambda one: printable_lines(one) if type(one) is str else one,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_index(database: SiteDatabase, *, live: bool) -> bytes:
    """Return `index.html`."""
    template = template_environment().get_template("index.html")
    tally = sum_up_low(database.board, database.holdout)
    return template.render(
        policy=POLICY, views=VIEWS, facts=database.facts, tally=tally, live=live
    ).encode()


def draw_card(database: SiteDatabase) -> bytes:
    """Return the picture that a link to the site is shown with."""
    return b""
