"""Markdown pages show all of their content, on GitHub and in the documentation's site."""

import re
from html import unescape

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from markdown_it.renderer import RendererHTML
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from tests.processes import ROOT

PAGES = sorted(
    str(page.relative_to(ROOT))
    for top in ROOT.iterdir()
    if not top.name.startswith(".")
    for page in ([top] if top.suffix == ".md" else top.rglob("*.md"))
)

IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
CODE = re.compile(r"<pre.*?</pre>|<code.*?</code>", re.DOTALL)


def render_on_github(text: str, *, raw: bool = True) -> str:
    """Return the HTML that GitHub makes; without `raw`, without the HTML of the page itself."""
    options = Options.CMARK_OPT_UNSAFE if raw else Options.CMARK_OPT_DEFAULT
    return cmarkgfm.github_flavored_markdown_to_html(text, options=options)


def render_in_site(text: str, *, raw: bool = True) -> str:
    """Return the HTML that MyST makes; without `raw`, without the HTML of the page itself."""
    parser = create_md_parser(MdParserConfig(enable_extensions={"dollarmath"}), RendererHTML)
    if not raw:
        for kind in ("html_block", "html_inline"):
            parser.renderer.rules[kind] = lambda *_: ""
    return str(parser.render(text))


def read_text(page: str) -> str:
    """Return the text of an HTML page that a reader sees, except code."""
    return unescape(re.sub(r"<[^>]*>", "", CODE.sub("", COMMENT.sub("", page))))


@pytest.mark.parametrize("render", [render_on_github, render_in_site])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_its_pictures_and_no_markup(name: str, render) -> None:
    text = (ROOT / name).read_text()
    page = render(text)
    assert "![" not in read_text(page), "a picture is shown as text"
    assert "<!--" not in read_text(page), "a comment is shown"
    in_code = sum(len(IMAGE.findall(code)) for code in CODE.findall(page))
    assert page.count("<img") == len(IMAGE.findall(text)) - in_code
    # If a line begins with a comment, the whole line is HTML: it is not rendered, and it ends the
    # paragraph.
    words = read_text(render(text, raw=False)).split()
    assert read_text(page).split() == words, "words are read as HTML"
