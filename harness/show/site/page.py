"""The first page: the answer, readable without a script."""

import textwrap
from functools import cache
from typing import Any

import jinja2

from lcma.harness.show.rules import BY_MAP, FILLS, describe_rule, list_paths
from lcma.harness.show.site.answer import find_answer
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

VIEWS = {
    "board": ("Board", "every rule in every setting, with its interval"),
    "compare": ("Compare", "any two rules, seed by seed"),
    "rules": ("Rules", "what each rule sends away, and where it ranks"),
    "claims": ("Claims", "what the paper says, and what the results say of it"),
    "maps": ("Maps", "the contributions that low chooses by, after more and more training"),
    "budgets": ("Budgets", "how much pretraining is enough, and what it costs"),
    "trials": ("Trials", "each training, with its curve and how to repeat it"),
    "sql": ("SQL", "questions of your own to the database behind these pages"),
    "about": ("About", "how the numbers came about, licences, and how to cite"),
}
"""Views of the navigation beside the first, which the script draws, and what is there."""

EXAMPLES = ("checkerboard-even", "rows", "low")
"""Rules of which the first split is drawn."""


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
    return _render(
        "index.html",
        policy=POLICY,
        views=VIEWS,
        facts=database.facts,
        answer=find_answer(database),
        examples=[(name, _draw_first_split(name)) for name in EXAMPLES],
        by_map=BY_MAP,
        live=live,
    ).encode()


def draw_card(database: SiteDatabase) -> bytes:
    """Return the picture that a link to the site is shown with: the answer, as PNG."""
    import vl_convert

    answer = find_answer(database)
    lines = textwrap.wrap(answer.sentence, 58)[:5]
    svg = _render("card.svg", answer=answer, lines=lines, fills=FILLS)
    found: bytes = vl_convert.svg_to_png(svg)
    return found


def _draw_first_split(name: str) -> list[tuple[str, str]]:
    """Return the outlines of what leaves at the first split, and of what stays."""
    rows = describe_rule(name).channels[0]
    marks = ["".join("1" if mark == "1" else "0" for mark in row) for row in rows]
    return [(("stays", "leaves")[mark], outline) for mark, outline in list_paths(marks)]


def _render(template: str, **content: Any) -> str:
    return template_environment().get_template(template).render(**content)
