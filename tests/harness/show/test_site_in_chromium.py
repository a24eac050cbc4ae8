"""The site in a real browser, from files and served: nothing here reads the templates."""

import csv
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from lcma.db.query import run_sql
from lcma.harness.place import find_place
from lcma.harness.results.statistics import paired_test
from lcma.harness.show.site import Site, SiteOptions, write_site
from lcma.harness.show.site.serving import Server
from lcma.harness.text import printable
from tests.harness.show import site as worlds
from tests.harness.show.conftest import STEPS, Filler

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.xdist_group("site"),
]

# What waits asks with `expect`: the page's policy forbids the `eval` of `wait_for_function`.
WITHOUT_HASH = re.compile("^[^#]+#?$")

VIEWS = (("light", 1280), ("dark", 360))
"""Schemes and widths in which a page is opened and then looked at once more."""


@dataclass
class Watched:
    """A page of the browser, with what it said and asked for."""

    page: Page
    root: str
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ears: dict[Any, Callable[[Any], None]] = {
            "console": lambda message: self.said.append(message.text),
            "pageerror": lambda error: self.said.append(str(error)),
            "dialog": lambda dialog: self.said.append(dialog.message),
            "request": lambda request: self.asked.append(request.url),
        }
        for event, hear in self._ears.items():
            self.page.on(event, hear)

    def leave(self, blank: str) -> Page:
        """Return the page as good as new: without state, listeners or anything to see."""
        self.page.evaluate("sessionStorage.clear()")
        for event, hear in self._ears.items():
            self.page.remove_listener(event, hear)
        self.page.goto(blank)
        return self.page

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.root}/{path}", wait_until="load")
        return self.page

    def require_quiet(self) -> None:
        assert self.said == []
        away = [u for u in self.asked if not u.startswith((self.root, "data:", "blob:"))]
        assert away == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-features=SpareRendererForSitePerProcess"],
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(120_000)  # of a wait that is over as soon as it can be
    yield context
    context.close()


@pytest.fixture(scope="module")
def idle() -> list[Page]:
    """Pages that no test uses now: a new one is a new process, which took half of the time."""
    return []


@pytest.fixture(scope="module")
def scriptless(browser: Browser) -> Iterator[Page]:
    """A page that runs no scripts, of a screen that is touched; one for all tests, as above."""
    context = browser.new_context(has_touch=True, java_script_enabled=False)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def exported(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of `worlds.fill` and hostile text, with samples, in a folder of an odd name."""
    folder = tmp_path_factory.mktemp("a site & 100%")
    shutil.copy(empty_database, folder / "lcma.db")
    filler = Filler(folder)
    worlds.fill(filler)
    worlds.fill_hostile(filler)
    filler.weights("random-local", 0)
    where = find_place(filler.url, filler.runs, folder / "data")
    write_site(filler.store, where, folder / "out", SiteOptions())
    filler.store.close()
    return folder / "out"


@pytest.fixture(scope="module")
def console(profile: BrowserContext, exported: Path) -> Watched:
    """The page for SQL, which has loaded the database: that took half of the time of a query."""
    watched = Watched(profile.new_page(), exported.as_uri())
    ask(watched.open("sql.html"), "SELECT 1")
    answered(watched.page)
    return watched


@pytest.fixture
def visit(
    profile: BrowserContext, idle: list[Page], exported: Path, tmp_path: Path
) -> Iterator[Any]:
    """Opens the site from its folder, cut off from any network."""
    views = []

    def view(scheme: Any = "light", width: int = 1280, root: str | None = None) -> Watched:
        profile.set_offline(root is None or root.startswith("file:"))
        page = idle.pop() if idle else profile.new_page()
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme=scheme)
        views.append(Watched(page, root or exported.as_uri()))
        return views[-1]

    yield view
    blank = tmp_path / "blank.html"
    blank.touch()
    idle += [one.leave(blank.as_uri()) for one in views]


def budgets(page: Page) -> list[str]:
    """The budgets of the rows of photos16, as they are shown."""
    rows = page.locator('section.group[data-dataset="photos16 (u8)"] tbody tr:visible')
    return rows.locator("td:nth-of-type(1)").all_inner_texts()


@pytest.mark.integration
def test_every_page_opens_from_a_file_quietly_and_fits(visit, exported) -> None:
    watched = visit()
    folders = ("compare", "trials", "maps")
    some = [next((exported / folder).glob("*.html")) for folder in folders]
    pages = [*exported.glob("*.html"), *some]
    for path, order in zip(pages, cycle((VIEWS, VIEWS[::-1]))):  # as it was left
        for again, (scheme, width) in enumerate(order):
            page = watched.page
            page.set_viewport_size({"width": width, "height": 800})
            page.emulate_media(color_scheme=scheme)
            if not again:
                watched.open(path.relative_to(exported).as_posix())
                assert page.title().endswith("· lcma")
                assert page.locator("h1").count() == 1
                assert page.evaluate("window.hit") is None
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (path.name, width)
            if path.stem in ("index", "coverage", "failures", "sql", "about"):
                assert page.evaluate(CONTRAST) == [], "text that cannot be read on its ground"
    watched.require_quiet()


CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const low = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.checkVisibility() || element.matches("option")) continue;
    let behind = element;
    let ground = [0, 0, 0, 0];
    while (behind && (ground.length === 4 && ground[3] === 0)) {
      ground = parse(getComputedStyle(behind).backgroundColor);
      behind = behind.parentElement;
    }
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push([element.outerHTML.slice(0, 80), ratio]);
  }
  return low;
}"""


@pytest.mark.integration
def test_a_heading_sorts_up_then_down_by_keyboard_too(visit) -> None:
    watched = visit()
    page = watched.open("index.html")
    group = page.locator('section.group[data-dataset="photos16 (u8)"]')
    before = budgets(page)
    heading = group.locator("th[data-column=budget]")
    heading.locator("[data-sort]").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    given = ["0", "100", "1000", "1000"]
    assert budgets(page)[:4] == given
    assert set(budgets(page)[4:]) == {"-"}
    heading.locator("[data-sort]").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert budgets(page)[:4] == given[::-1]
    group.locator("th[data-column=value] [data-sort]").click()
    assert heading.get_attribute("aria-sort") is None
    assert budgets(page) == before
    watched.require_quiet()


@pytest.mark.integration
def test_filters_leave_what_fits_and_survive_a_reload(visit) -> None:
    watched = visit()
    page = watched.open("index.html")
    whole = page.locator("tbody tr:visible").count()
    page.get_by_label("Factorization").select_option("low (LL)")
    assert page.locator("tbody tr:visible").count() == len(worlds.BUDGETS)
    assert f"{len(worlds.BUDGETS)} rows" in page.locator("#shown").inner_text()
    page.reload()
    assert page.locator("tbody tr:visible").count() == len(worlds.BUDGETS)
    page.get_by_label("Data set").select_option(label=f"{printable(worlds.HOSTILE)} (u8)")
    assert page.locator("tbody tr:visible").count() == 0
    page.get_by_role("button", name="Show all").click()
    expect(page).to_have_url(WITHOUT_HASH)
    assert page.locator("tbody tr:visible").count() == whole
    for words, count in (("LL photos16", 3), ("(LL) +", 0), ("photos16", whole - 2)):
        page.get_by_label("Search").fill(words)
        assert page.locator("tbody tr:visible").count() == count, words
        assert f"{count} row" in page.locator("#shown").inner_text()
    assert page.evaluate("window.hit") is None
    watched.require_quiet()


def look_at_charts(page: Page) -> None:
    """Scroll to each chart, which is drawn then."""
    charts = page.locator(".vega")
    charts.first.wait_for()
    for chart in charts.all():
        chart.scroll_into_view_if_needed()
        chart.locator("canvas").wait_for()


def test_a_trial_is_reached_from_the_board_and_its_curve_is_drawn(visit) -> None:
    watched = visit()
    page = watched.open("index.html")
    page.get_by_text("Trials behind this table").first.click()
    page.get_by_role("link", name="seed 0").first.click()
    assert "Parts of the likelihood" in page.locator("main").inner_text()
    page = watched.open("trials.html")
    page.locator("tr", has_text="running").get_by_role("link").click()
    look_at_charts(page)
    page.get_by_text("The numbers").click()
    assert page.get_by_role("cell", name=f"{8 - 8 / STEPS:.4f}").count() == 1, "the last point"
    assert page.locator("section tr", has=page.get_by_role("cell")).count() > 8
    watched.require_quiet()


ENDLESS = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n) SELECT max(k) FROM n"


def ask(page: Page, sql: str) -> None:
    page.get_by_label("A SELECT statement").fill(sql)
    page.get_by_role("button", name="Run").click()


def answered(page: Page) -> list[str]:
    """The cells of the answer, row by row."""
    page.locator("output", has_text=re.compile(r"^[\d,]+ rows? in")).wait_for()
    return page.locator("#answer td").all_inner_texts()


@pytest.mark.integration
def test_sql_runs_in_a_page_opened_from_a_file(visit, exported) -> None:
    watched = visit()
    page = watched.open("sql.html")
    assert not [url for url in watched.asked if "database" in url or "sqljs" in url]
    sql = "SELECT factorization, count(*) FROM results GROUP BY 1 ORDER BY 1"
    ask(page, sql)
    rows = run_sql(str(exported / "data" / "results.sqlite"), sql).rows
    assert answered(page) == [printable(str(value)) for row in rows for value in row]
    assert page.locator("#answer svg circle").count() == len(rows)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    with download.value.path().open(newline="") as file:
        saved = list(csv.reader(file))
    assert saved == [["factorization", "count(*)"], *([a, str(b)] for a, b in rows)]
    watched.require_quiet()


@pytest.mark.integration
def test_a_query_that_does_not_end_is_stopped_by_hand_and_by_itself(visit) -> None:
    watched = visit()
    page = watched.open("sql.html")
    page.clock.install()
    for by_hand in (True, False):
        ask(page, ENDLESS)
        page.locator("output", has_text="Running").wait_for()
        if by_hand:
            page.get_by_role("button", name="Stop").click()
        else:
            page.clock.fast_forward(31_000)
        assert page.get_by_role("alert").inner_text() == (
            "stopped" if by_hand else "stopped after 30 s"
        )
        ask(page, "SELECT 41 + 1 AS answer, NULL, 9007199254740993, x'00ff'")
        assert answered(page) == ["42", "null", "9007199254740993", "2 bytes"]
    watched.require_quiet()


MISTAKES = {
    "SELECT 1 FROM nope": "no such table: nope",
    "SELECT '<img src=x onerror=window.hit=1>": "unrecognized token",
    "DELETE FROM attempts": "readonly",
    "SELECT 1; SELECT 2": "one statement at a time",
    "-- nothing": "no SQL statement",
}


@pytest.mark.integration
def test_a_mistake_in_sql_is_shown_as_text(console) -> None:
    page = console.page
    for sql, says in MISTAKES.items():
        ask(page, sql)
        page.get_by_role("alert").wait_for()
        assert says in page.get_by_role("alert").inner_text()
        assert page.locator("#answer img").count() == 0
    ask(page, "SELECT count(*) FROM flow_trials")
    assert int(answered(page)[0]) > 5
    assert page.evaluate("window.hit") is None
    console.require_quiet()


@pytest.mark.integration
def test_hostile_cells_are_only_ever_text(console) -> None:
    page = console.page
    ask(page, "SELECT name, train FROM data_sets UNION ALL SELECT name || 2, 1 FROM data_sets")
    shown = answered(page)
    assert any(printable(worlds.HOSTILE)[:40] in text for text in shown)
    assert not any("\u202e" in text or "\x1b" in text for text in shown)
    assert "\u202e" not in page.locator("#answer").inner_html()
    assert page.locator("#answer svg circle").count() == len(shown) / 2
    assert page.locator("#answer").locator("img, script").count() == 0
    assert page.evaluate("window.hit") is None
    console.require_quiet()


@pytest.mark.integration
def test_a_query_in_a_link_is_shown_and_not_run(visit, exported) -> None:
    watched = visit()
    page = watched.open("sql.html#sql=SELECT+40%2B2+AS+answer")
    editor = page.get_by_label("A SELECT statement")
    assert editor.input_value() == "SELECT 40+2 AS answer"
    page.get_by_text("came with the link").wait_for()
    assert page.locator("#answer > *").count() == 0
    assert not [url for url in watched.asked if "database" in url or "sqljs" in url]
    page.get_by_role("button", name="Run").click()
    assert answered(page) == ["42"]

    page = watched.open("trials.html")
    page.get_by_text("The SQL behind this table").click()
    page.get_by_role("link", name="in this site").click()
    page.get_by_text("came with the link").wait_for()
    assert "FROM flow_trials" in page.get_by_label("A SELECT statement").input_value()
    assert page.locator("#answer > *").count() == 0
    watched.require_quiet()


def choose(page: Page, side: str, **parts: str) -> None:
    """Choose by label what is compared on one side."""
    for part, label in parts.items():
        select = page.get_by_role("group", name=side).get_by_label(part)
        select.focus()
        select.select_option(label=label)
    page.wait_for_load_state("networkidle")


@pytest.mark.integration
def test_two_rows_are_compared_with_their_test_curves_and_maps(visit, exported) -> None:
    watched = visit()
    page = watched.open("index.html")
    photos = page.locator('section.group[data-dataset="photos16 (u8)"]')
    photos.get_by_role("link", name="every pair of rows").click()
    page.get_by_role("link", name="checkerboard-even against random").click()
    page.get_by_role("heading", name="checkerboard-even against random").wait_for()
    test = page.get_by_role("region", name="Paired test").inner_text()
    differences = [-0.5 - 0.01 * seed for seed in worlds.SEEDS]
    found = paired_test(differences)
    assert found is not None
    assert "-0.5250 bits/dim; below zero the first is better" in test
    assert f"{found.low:+.4f} to {found.high:+.4f}" in test
    assert "p = 0.0313" in test  # 2 of 64 signs
    assert f"{found.detectable:.4f}" in test
    rows = page.get_by_role("region", name="Difference by seed").locator("tbody td:last-child")
    assert rows.all_inner_texts() == [f"{one:+.4f}" for one in differences]
    look_at_charts(page)

    choose(page, "Second", Row="low (LL) at 1000")
    page.get_by_role("heading", name="checkerboard-even against low (LL) at 1000").wait_for()
    assert page.locator("#compared img.pixels").count() == 2 * 3
    assert "/LL-1000" in page.evaluate("location.hash")
    # the other way round: every sign turns
    choose(page, "First", Row="random")
    choose(page, "Second", Row="checkerboard-even")
    page.get_by_text("+0.5250 bits/dim").wait_for()
    watched.require_quiet()


@pytest.mark.integration
def test_rows_of_two_tables_have_no_test_and_no_address_leads_out(visit, exported) -> None:
    names = sorted(path.stem for path in (exported / "compare").glob("*.html"))
    assert len(names) == 2
    watched = visit()
    for wrong in ("#a=../../trials/x&b=%2e%2e/x", "#a=//evil.example/x", "#a=&b=<img>", "#a=x/y/z"):
        page = watched.open(f"compare.html{wrong}")
        page.locator("#compared h2").wait_for()
        page.goto("about:blank")
    page = watched.open(f"compare.html#a={names[0]}/x&b={names[1]}/x")
    page.get_by_text("these stand in different tables").wait_for()
    differ = page.get_by_role("region", name="Table: What differs")
    assert printable(worlds.HOSTILE) in differ.inner_text()
    assert page.evaluate("window.hit") is None
    asked = [url for url in watched.asked if "/data/" in url]
    assert {url.split("/data/")[1] for url in asked} <= {
        *("compare.js", *(f"compare/{name}.js" for name in names)),
        *(f"trials-{one.stem}.js" for one in (exported / "trials").glob("*.html")),
    }
    watched.require_quiet()


@pytest.mark.integration
def test_pages_are_whole_without_scripts(scriptless, exported) -> None:
    page = scriptless
    page.goto(f"{exported.as_uri()}/index.html")
    assert page.locator("tbody tr:visible").count() > 5
    assert not page.get_by_label("Search").is_visible()
    first = min((exported / "maps").glob("*.html"))
    page.goto(first.as_uri())
    assert page.locator("section.budget:visible").count() == len(worlds.BUDGETS)
    for name, note in (("compare", "Choosing two needs"), ("sql", "cannot run queries")):
        page.goto(f"{exported.as_uri()}/{name}.html")
        assert page.get_by_text(note).is_visible()
        assert not page.locator("form").is_visible()


@pytest.mark.integration
def test_a_served_page_shows_what_came_in_while_jobs_run(visit, filler, monkeypatch) -> None:
    filler.results({"random": {0: 4.25}}, sweep="s1")
    worlds.curve(filler, filler.plan("channel", 0, sweep="s1"))
    where = find_place(filler.url, filler.runs, filler.folder / "data")
    live = SiteOptions(samples=False, live=True)
    with Server(lambda: Site(filler.store, where, live), 0, print) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        watched = visit(root=server.url.rstrip("/"))
        page = watched.open("index.html")
        assert page.locator("table.board tbody tr:visible").count() == 1
        now = page.get_by_role("region", name="Running now")
        assert "train realnvp photos16 channel seed 0" in now.inner_text()
        now.locator("canvas").wait_for()
        filler.results({"checkerboard-even": {0: 4.125}}, sweep="s1")
        page.locator("td", has_text="4.1250").first.wait_for(timeout=30_000)
        page.get_by_role("button", name="Pause").click()
        assert page.get_by_role("button", name="Go on").count() == 1
        page.goto(f"{server.url}trials.html")
        page.locator("tr", has_text="running").get_by_role("link").click()
        look_at_charts(page)
        server.shutdown()
    watched.require_quiet()
