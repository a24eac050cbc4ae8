"""The site in a real browser, from files and served."""

import base64
import csv
import gzip
import json
import re
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from lcma.db import run_sql
from lcma.harness.results.statistics import summarize
from lcma.harness.show.site import write_site
from lcma.harness.show.site.serving import LiveSite, Server
from lcma.harness.text import printable
from tests.harness.show import site as worlds
from tests.harness.show.conftest import Filler

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.xdist_group("site"),
    pytest.mark.integration,
]

# These tests wait with `expect`: the page's policy forbids the `eval` of `wait_for_function`.

VIEWS = ("board", "compare", "rules", "claims", "maps", "budgets", "trials", "sql", "about")

MOVE = """where => new Promise((resolve) => {
  if (location.hash === where) resolve();
  addEventListener("hashchange", () => setTimeout(resolve), { once: true });
  location.hash = where;
})"""
"""Goes to an address of the site, and waits until the page has changed its view."""

ENDLESS = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n) SELECT max(k) FROM n"


@dataclass
class Watched:
    """A page of the browser, with its messages and its requests."""

    page: Page
    root: str
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("dialog", lambda dialog: self.messages.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))

    @property
    def view(self) -> Locator:
        """What the script draws."""
        return self.page.locator("#view")

    def open(self, address: str = "#/") -> Page:
        """Open the site at an address, from nothing."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.root}index.html{address}", wait_until="load")
        self.settle()
        return self.page

    def go(self, address: str) -> None:
        """Go to another address within the site, as a link does."""
        self.page.evaluate(MOVE, address)
        self.settle()

    def settle(self) -> None:
        """Wait until the view is whole."""
        expect(self.page.locator("main:not([hidden]):not([aria-busy]) h1")).to_have_count(1)
        expect(self.page.locator("#loading")).to_have_text("")
        for chart in self.page.locator(".vega").all():
            chart.scroll_into_view_if_needed()
            chart.locator("canvas").wait_for()

    def unfold(self) -> None:
        for details in self.page.locator("details").all():
            details.evaluate("element => { element.open = true }")

    def close(self) -> None:
        """Close the page; it must have been quiet, asked its site only, and run no hostile text."""
        assert self.messages == []
        local = (self.root, "data:", "blob:", "about:")
        assert [url for url in self.requests if not url.startswith(local)] == []
        if not self.page.is_closed():
            assert self.page.evaluate("window.hit") is None
            self.page.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def profile(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    context.set_default_timeout(20_000)  # of a wait that is over as soon as it can be
    yield context
    context.close()


@pytest.fixture(scope="module")
def exported(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of `worlds.fill` and hostile text, in a folder of an odd name."""
    folder = tmp_path_factory.mktemp("a site & 100%")
    shutil.copy(empty_database, folder / "lcma.db")
    filler = Filler(folder)
    worlds.fill(filler)
    worlds.fill_hostile(filler)
    write_site(filler.store, folder / "out")
    filler.store.close()
    return folder / "out"


@pytest.fixture
def visit(profile: BrowserContext, exported: Path) -> Iterator[Callable[..., Watched]]:
    """Open pages of a site, by default of the exported one; when the test ends, check them."""
    opened = []

    def visit(root: str | None = None) -> Watched:
        page = profile.new_page()
        page.set_viewport_size({"width": 1280, "height": 800})
        opened.append(Watched(page, root or f"{exported.as_uri()}/"))
        return opened[-1]

    yield visit
    for watched in opened:
        watched.close()


@pytest.fixture(scope="module")
def database(exported: Path) -> Path:
    """The database of the exported site as a file."""
    path = exported.parent / "results.sqlite"
    path.write_bytes(worlds.unpack_database((exported / "database.js").read_bytes()))
    return path


def find_key(database: Path, factorization: str, budget: int | None = None) -> str:
    """Return the key of a row of photos16."""
    with closing(sqlite3.connect(database)) as connection:
        ((key,),) = connection.execute(
            "SELECT row_key FROM board_rows WHERE factorization = ? AND budget IS ? "
            "AND dataset = 'photos16'",
            (factorization, budget),
        )
    return str(key)


def test_every_view_is_quiet_accessible_and_fits(visit, exported, database) -> None:
    watched = visit()
    page = watched.page
    trial = run_sql(str(database), "SELECT min(id) FROM flow_trials WHERE factorization = 'random'")
    keys = [find_key(database, "LL", 1000), find_key(database, "checkerboard-even")]
    addresses = [f"#/{view}" for view in ("", *VIEWS, "nothing")]
    addresses += [f"#/compare?a={keys[0]}&b={keys[1]}", f"#/board?pick={keys[0]}&pick={keys[1]}"]
    addresses += [f"#/trial?id={trial.rows[0][0]}"]
    schemes = (("light", 1280, addresses), ("light", 768, ["#/board"]), ("dark", 375, addresses))
    for scheme, width, addresses in schemes:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.set_viewport_size({"width": width, "height": 800})
        for address in addresses:
            watched.open(address)
            watched.unfold()
            violations = Axe().run(page, options={"preload": False}).response["violations"]
            assert [(v["id"], v["nodes"][0]["html"]) for v in violations] == [], address
            excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert excess <= 0, (address, width)
            for chart in page.locator(".vega").all():
                box = chart.bounding_box()  # titles of layers that are joined would make it higher
                assert box is None or box["height"] < 400


def test_the_keyboard_reaches_every_view_and_its_heading(visit) -> None:
    watched = visit()
    page = watched.open()
    page.keyboard.press("Tab")
    expect(page.locator("a.skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#answer h1")).to_be_focused()
    assert page.evaluate("location.hash") == "#/"
    for view in VIEWS:
        item = page.locator(f'nav a[href="#/{view}"]')
        item.focus()
        page.keyboard.press("Enter")
        expect(item).to_have_attribute("aria-current", "page")
        expect(watched.view.locator("h1")).to_be_focused()
        assert page.title().endswith(" · lcma")
    page.go_back()
    expect(watched.view.locator("h1")).to_have_text("SQL")


def test_filters_cut_the_board_and_are_in_the_address(visit) -> None:
    watched = visit()
    page = watched.open("#/board")
    view = watched.view
    rows = view.locator(".board tbody tr")
    whole = rows.count()
    view.get_by_label("Rule").select_option("low")
    expect(rows).to_have_count(len(worlds.BUDGETS) + 1)  # and the own rule
    expect(view.locator("output")).to_have_text(f"{len(worlds.BUDGETS)} rows in 1 table")
    view.get_by_label("Search").fill("100")
    expect(page).to_have_url(re.compile("rule=low.*q=100"))
    expect(rows).to_have_count(2 + 1)  # at 100 and at 1000: a word's beginning
    page.reload()
    watched.settle()
    expect(rows).to_have_count(2 + 1)
    view.get_by_label("Data set").select_option(printable(worlds.HOSTILE))
    expect(rows).to_have_count(0)
    watched.go("#/board")
    expect(rows).to_have_count(whole)
    first = view.locator(".board").first.locator("tbody tr").first
    expect(first).to_contain_text("own rule")


def test_two_rows_chosen_on_the_board_are_compared(visit) -> None:
    watched = visit()
    watched.open("#/board?dataset=photos16")
    view = watched.view
    view.get_by_label(re.compile("^Compare random,")).check()
    view.get_by_label(re.compile("^Compare checkerboard-even,")).check()
    view.get_by_role("link", name="Compare", exact=True).click()
    watched.settle()
    expect(view.locator("h1")).to_have_text("random against checkerboard-even")
    differences = [0.5 + 0.01 * seed for seed in worlds.SEEDS]
    summary = summarize(differences)
    result = view.locator(".result")
    expect(result).to_contain_text("+0.5250 bits/dim")
    expect(result).to_contain_text(f"{summary.low:+.4f} to {summary.high:+.4f}, n = 6")
    expect(view.locator(".says")).to_have_text("random is worse than checkerboard-even")
    view.get_by_text("The numbers").click()
    cells = view.get_by_role("region", name="Values by seed").locator("td:last-child")
    assert cells.all_inner_texts() == [f"{difference:+.4f}" for difference in differences]
    settings = view.get_by_role("region", name="Settings that differ").locator("tbody th")
    assert settings.all_inner_texts() == ["picture", "rule", "mean", "seeds"]
    view.get_by_label("Second").select_option(label="low (LL) at 1000")
    expect(view.locator("h1")).to_have_text("random against low (LL) at 1000")


def test_rules_and_claims_open_and_lead_to_their_tables(visit) -> None:
    watched = visit()
    page = watched.open("#/rules")
    view = watched.view
    low = view.locator(".cards > li", has=page.get_by_role("heading", name="low", exact=True))
    assert low.locator("svg.rule").count() > 0
    low.locator("summary").click()
    low.get_by_role("link").first.click()
    watched.settle()
    expect(view.locator("section.board")).to_have_count(1)
    watched.go("#/claims")
    claim = view.locator(".claim").first
    claim.locator("summary").click()
    expect(claim.get_by_role("region")).to_be_visible()
    expect(page).to_have_url(re.compile("claim="))
    page.reload()
    watched.settle()
    expect(view.locator(".claim").first.get_by_role("region")).to_be_visible()


def test_the_keyboard_moves_the_slider_of_maps_over_budgets(visit) -> None:
    watched = visit()
    page = watched.open("#/maps?rule=LL")
    view = watched.view
    slider = view.get_by_role("slider")
    drawn = view.locator("canvas")
    expect(drawn).to_have_count(2 * 3)
    slider.focus()
    for key, budget in (("Home", 0), ("ArrowRight", 100), ("End", 1000)):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuetext", f"{budget:,} steps")
        expect(page).to_have_url(re.compile(f"budget={budget}(&|$)"))
    view.get_by_role("combobox", name="Split").select_option("2")
    view.get_by_label("Channel").select_option(label="green")
    expect(drawn).to_have_count(1)
    expect(drawn).to_have_attribute("aria-label", re.compile("up to split 2, green"))


def test_a_trial_is_found_with_its_curve_and_command(visit) -> None:
    watched = visit()
    page = watched.open("#/trials")
    view = watched.view
    view.get_by_label("Search").fill("random seed 3")
    expect(view.locator("tbody tr")).to_have_count(1)
    view.locator("tbody a").click()
    expect(view.locator("h1")).to_have_text("random, seed 3")
    watched.settle()
    view.get_by_text("The numbers").click()
    last = f"{4.56 + 100 / worlds.LOGGED[-1]:.4f}"
    expect(view.get_by_role("cell", name=last)).to_have_count(1)
    expect(view.get_by_text("lcma reproduce")).to_be_visible()
    parts = view.get_by_role("region", name="Parts of the likelihood").locator("td:last-child")
    *terms, total = (float(t.replace("\N{MINUS SIGN}", "-")) for t in parts.all_inner_texts())
    assert total == 4.56
    assert sum(terms) == pytest.approx(-(-100 - 700) / (3 * 16 * 16 * 0.693147), abs=1e-3)
    view.get_by_role("slider").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("from="))
    watched.settle()
    view.get_by_role("link", name=re.compile("^seed 2")).click()
    expect(view.locator("h1")).to_have_text("random, seed 2")


def run_query(page: Page, sql: str | None = None) -> list[str]:
    """Run what is in the editor, or this, and return the cells of the answer."""
    if sql is not None:
        page.get_by_label("A SELECT statement").fill(sql)
    page.get_by_role("button", name="Run").click()
    page.locator("output", has_text=re.compile(r"^[\d,]+ rows? in")).wait_for()
    return page.locator("#rows").locator("tbody :is(td, th)").all_inner_texts()


def test_sql_answers_with_a_table_a_picture_and_a_file(visit, database) -> None:
    watched = visit()
    page = watched.open("#/sql?sql=SELECT+40%2B2+AS+answer")
    page.get_by_text("This query is from the link").wait_for()
    assert not [url for url in watched.requests if "database" in url or "sqljs" in url]
    assert run_query(page) == ["42"]
    sql = "SELECT factorization, count(*) FROM results GROUP BY 1 ORDER BY 1"
    rows = run_sql(str(database), sql).rows
    assert run_query(page, sql) == [printable(str(value)) for row in rows for value in row]
    page.locator("#rows .vega canvas").wait_for()
    formula = "SELECT '=1+1' AS a, 'x,y' AS b, NULL, 9007199254740993, x'00ff'"
    assert run_query(page, formula)[3:] == ["9007199254740993", "2 bytes"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as CSV").click()
    with download.value.path().open(newline="") as file:
        assert list(csv.reader(file))[1] == ["'=1+1", "x,y", "", "9007199254740993", "00ff"]


def test_a_query_that_does_not_end_is_stopped_by_hand_and_by_itself(visit) -> None:
    watched = visit()
    page = watched.open("#/sql")
    page.clock.install()
    for message in ("stopped", "stopped after 30 s"):
        page.get_by_label("A SELECT statement").fill(ENDLESS)
        page.get_by_role("button", name="Run").click()
        page.locator("output", has_text="Running").wait_for()
        if message == "stopped":
            page.get_by_role("button", name="Stop").click()
        else:
            page.clock.fast_forward(31_000)
        expect(page.get_by_role("alert")).to_have_text(message)
        assert run_query(page, "SELECT 41 + 1") == ["42"]
    for sql, message in {
        "SELECT 1 FROM nope": "no such table: nope",
        "SELECT '<img src=x onerror=window.hit=1>": "unrecognized token",
        "DELETE FROM attempts": "readonly",
        "SELECT 1; SELECT 2": "one statement at a time",
        "-- nothing": "no SQL statement",
    }.items():
        page.get_by_label("A SELECT statement").fill(sql)
        page.get_by_role("button", name="Run").click()
        expect(page.get_by_role("alert")).to_contain_text(message)


def test_the_sql_of_each_view_and_each_question_runs_unchanged(visit, database) -> None:
    watched = visit()
    page = watched.page
    keys = [find_key(database, "LL", 1000), find_key(database, "checkerboard-even")]
    queries = []
    views = ("board?flow=realnvp&dataset=photos16&table=1&q=low", "rules", "claims", "maps")
    for view in (*views, "budgets", "trials?q=low", f"compare?a={keys[0]}&b={keys[1]}"):
        watched.open(f"#/{view}")
        page.get_by_role("link", name="The SQL of this view").click()
        queries.append(page.get_by_label("A SELECT statement").input_value())
    for question in page.locator(".examples button").all():
        question.click()
        queries.append(page.get_by_label("A SELECT statement").input_value())
    for sql in queries:
        expected = run_sql(str(database), sql, limit=501).rows
        assert len(run_query(page, sql)) == sum(map(len, expected))


def test_the_database_is_saved_unchanged(visit, database) -> None:
    watched = visit()
    page = watched.open("#/about")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save results.sqlite").click()
    assert download.value.path().read_bytes() == database.read_bytes()


KEPT = {
    *(("jobs", "state"), ("jobs", "kind"), ("measurements", "name"), ("measurements", "protocol")),
    *(("contribution_maps", "dtype"), ("rule_rows", "picture"), ("site_facts", "name")),
    *(("board_rows", "than"), ("board_rows", "direction"), ("metrics", "name")),
}
"""Columns whose text decides what a view shows; all others get hostile text."""


def test_hostile_text_in_every_column_is_shown_as_text(visit, exported, database) -> None:
    folder = exported.parent / "hostile"
    shutil.copytree(exported, folder)
    copy = folder / "copy.sqlite"
    shutil.copy(database, copy)
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        names = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        for (table,) in names:
            for _, column, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
                if (table, column) in KEPT:
                    continue
                connection.execute(  # what is JSON stays JSON, and ids still meet
                    f'UPDATE "{table}" SET "{column}" = CASE WHEN json_valid("{column}")'
                    f' THEN json_set("{column}", \'$.hostile\', ?) ELSE "{column}" || ? END'
                    f" WHERE typeof(\"{column}\") = 'text'",
                    (worlds.HOSTILE, worlds.HOSTILE),
                )
        keys = [key for (key,) in connection.execute("SELECT row_key FROM board_rows LIMIT 2")]
        ((trial,),) = connection.execute("SELECT min(id) FROM flow_trials")
        connection.commit()
    packed = base64.b64encode(gzip.compress(copy.read_bytes())).decode()
    (folder / "database.js").write_text(f"window.lcmaDatabase = {json.dumps(packed)};\n")
    watched = visit(f"{folder.as_uri()}/")
    page = watched.open()
    a, b, trial = (quote(text, safe="") for text in (*keys, trial))
    for view in (*VIEWS, f"compare?a={a}&b={b}", f"trial?id={trial}", f"trials?row={a}"):
        watched.open(f"#/{view}")
        watched.unfold()
        assert page.get_by_role("alert").count() == 0, (view, page.inner_text("#view"))
        if view != "sql":
            assert "<img src=x onerror" in page.locator("#view").inner_text(), view
        assert page.locator("#view").locator("img, script, iframe").count() == 0
        assert not re.search("[\x07\x1b\u202e]", watched.view.inner_text()), view
    watched.go("#/sql")
    name, *_ = run_query(page, "SELECT name, train FROM data_sets")
    assert printable(worlds.HOSTILE) in name


def test_a_served_page_shows_new_results_while_jobs_run(visit, filler) -> None:
    filler.results({"random": {0: 4.25}}, sweep="s1")
    worlds.start_trial(filler)
    with Server(LiveSite(filler.store, print), 0, print) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watched = visit(server.url)
        page = watched.open("#/board")
        expect(page.locator(".live")).to_have_text("Live: 1 job running")
        expect(watched.view.locator(".board tbody tr")).to_have_count(1)
        filler.results({"checkerboard-even": {0: 4.125}}, sweep="s1")
        expect(watched.view.locator(".board tbody tr")).to_have_count(2, timeout=60_000)
        for view in VIEWS:
            watched.go(f"#/{view}")
        page.close()
        server.shutdown()
    watched.messages = [text for text in watched.messages if "ERR_CONNECTION" not in text]
