"""The site as files: what the first page says, the database in it, and the folder."""

import csv
import io
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.results.budgets import read_budget_curves
from lcma.harness.show.budgets import budget_table
from lcma.harness.show.export import ExportQuery, make_export
from lcma.harness.show.site import files, write_site
from lcma.harness.show.site.database import make_database
from lcma.sweeps.errors import UserError
from tests.harness.cli.conftest import refused
from tests.harness.show import site as worlds
from tests.harness.show.conftest import Filler

FILES = {
    *("index.html", "database.js", "site.js", "site.css", "icon.svg", "sqljs.js"),
    *("vega.js", "specs.js", "licences.txt", ".lcma-site"),
}


@pytest.fixture(autouse=True)
def _without_vega(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(files.ASSETS, "vega.js", bytes)  # takes seconds to bundle


def make(filler: Filler, **options: Any) -> dict[str, bytes]:
    return files.make_page_files(make_database(filler.store, **options))


def open_database(site: dict[str, bytes]) -> sqlite3.Connection:
    """The database as a page reads it."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(worlds.unpack_database(site["database.js"]))
    return connection


def read_page(site: dict[str, bytes]) -> str:
    return " ".join(worlds.Elements(site["index.html"].decode()).text.split())


@pytest.mark.parametrize(
    ("difference", "seeds", "answer"),
    [
        (-0.2, 6, "(low) is better in 1 of 1 setting."),
        (0.0, 6, "(low) is not significantly different in 1 of 1 setting."),
        (-0.2, 5, "(low) is short of seeds in 1 of 1 setting."),
    ],
)
def test_the_first_page_answers_by_the_budget_that_verdicts_take(
    filler, difference, seeds, answer
) -> None:
    even = {seed: 4.0 + seed / 10 for seed in range(seeds)}
    low = {seed: bits + difference + (seed % 2 - 0.5) / 100 for seed, bits in even.items()}
    filler.results({"checkerboard-even": even})
    filler.results({"LL": {seed: bits + 1 for seed, bits in low.items()}}, budget=100)
    filler.results({"LL": low}, budget=1000)
    text = read_page(make(filler))
    assert answer in text
    assert f"{3 * seeds} results, made 1970-01-01 to 1970-01-01" in text


def test_the_first_page_counts_several_settings(filler) -> None:
    even = {seed: 4.0 + seed / 10 for seed in range(6)}
    settings = (("d", "photos16", -0.2), ("e", "photos16", 0.2), ("f", "cifar10-16", 0.3))
    for digit, name, difference in settings:
        of_set = {"digest": filler.data(digit * 64, name=name), "dataset": name}
        filler.results({"checkerboard-even": even}, **of_set)
        low = {seed: bits + difference + (seed % 2) / 100 for seed, bits in even.items()}
        filler.results({"LL": low}, budget=100, **of_set)
    text = read_page(make(filler))
    assert "Mostly not: against each flow's own rule" in text
    assert "better in 1 of 3 settings, worse in 2." in text
    assert "1 of 1 setting where low is better had fewer than 1,000 test images." in text
    assert "In 1 of 1 setting with a gain in the paper, low falls short of it." in text
    assert "+0.305 ± 0.006 −0.06 6 worse" in text  # noqa: RUF001 - the page has minus signs


def test_the_first_page_explains_each_control(filler) -> None:
    low = {seed: 4.0 + seed / 10 + (seed % 2) / 100 for seed in range(6)}
    filler.results({"checkerboard-even": {seed: bits - 0.2 for seed, bits in low.items()}})
    filler.results({"LL": low}, budget=100)
    differences = {"random-local": 0.4, "random-lattice": 0.1, "HH": -0.1}
    for rule, difference in differences.items():
        values = {seed: bits + difference + (seed % 3) / 1000 for seed, bits in low.items()}
        filler.results({rule: values}, budget=100 if rule == "HH" else None)
    text = read_page(make(filler))
    few = "of 1 (1 with few test images)"
    assert f"a random half of each window? yes in 1 {few}: low is more than chance" in text
    assert f"in all windows? yes in 1 {few}: low is more than a regular pattern" in text
    assert f"the opposite half by the same map? no in 1 {few}: keeping it costs" in text


def test_a_page_without_low_or_without_results_says_so(filler) -> None:
    site = make(filler)
    assert "There are no results yet." in read_page(site)
    with closing(open_database(site)) as database:
        for table in ("board_rows", "board"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM rule_rows WHERE listed").fetchone()[0] > 15
    filler.results({"checkerboard-even": {0: 4.0}, "random": {0: 4.1}})
    assert "No result here compares low with a flow's own rule" in read_page(make(filler))


@pytest.mark.integration
def test_tables_of_the_database_equal_exports(filler) -> None:
    worlds.fill(filler)
    with closing(open_database(make(filler))) as database:
        for table, content in (("board_rows", "board"), ("verdict_rows", "verdicts")):
            query = ExportQuery(what=content)
            exported = make_export(filler.store, query, "csv").decode()
            names, *rows = csv.reader(io.StringIO(exported))
            quoted = ", ".join(f'"{name}"' for name in names)
            stored = database.execute(f"SELECT {quoted} FROM {table}").fetchall()
            assert [["" if v is None else str(v) for v in row] for row in stored] == rows
            assert rows
        budgets = budget_table(read_budget_curves(filler.store))
        stored = database.execute("SELECT * FROM budget_rows").fetchall()
        assert stored == [(*row, "seconds", "lower") for row in budgets.rows]
        (keys,) = database.execute("SELECT count(*) - count(DISTINCT row_key) FROM board_rows")
        assert keys == (0,)
        rules = "SELECT count(*) FROM board_rows LEFT JOIN rule_rows USING (rule) WHERE {}"
        unknown = rules.format("rule IS NOT NULL AND picture IS NULL")
        assert database.execute(unknown).fetchone() == (0,)


def test_the_same_results_give_the_same_bytes_and_name_nobody(filled) -> None:
    site = make(filled)
    assert make(filled) == site
    with closing(open_database(site)) as database:
        assert b"node1" not in database.serialize(), "a host"
    text = (site["index.html"] + files.ASSETS["site.css"]()).decode()
    assert not re.search(r"https?://(?!arxiv\.org)", text), "nothing from the network"


def test_a_site_of_a_sweep_has_only_its_trials(filler) -> None:
    filler.results({"checkerboard-even": {0: 4.0}, "random": {0: 4.1}}, sweep="s1")
    filler.results({"rows": {0: 4.2}}, sweep="s2")
    with closing(open_database(make(filler, sweep_id="s2"))) as database:
        for query in ("SELECT factorization FROM board_rows", "SELECT rule FROM board"):
            assert database.execute(query).fetchall() == [("rows",)]
        assert database.execute("SELECT id FROM sweeps").fetchall() == [("s2",)]


def test_a_site_is_ranked_by_any_measure(filled) -> None:
    measure = "holdout_bits_per_dim"
    site = make(filled, measure=measure)
    with closing(open_database(site)) as database:
        facts = dict(database.execute("SELECT name, value FROM site_facts"))
        measures = database.execute("SELECT DISTINCT measure FROM board_rows").fetchall()
    assert measures == [(measure,)]
    assert (facts["measure"], facts["direction"]) == (measure, "lower")
    assert f"{measure}: " in read_page(site)


def test_hostile_text_is_shown_as_text(filler) -> None:
    worlds.fill_hostile(filler)
    low = {seed: 4.0 + (seed % 2) / 100 for seed in range(6)}
    of_set = {"digest": "e" * 64, "dataset": worlds.HOSTILE}
    filler.results({"checkerboard-even": dict.fromkeys(range(6), 4.0)}, **of_set)
    filler.results({"LL": low}, budget=100, **of_set)
    site = make(filler)
    page = site["index.html"].decode()
    elements = worlds.Elements(page).elements
    assert "window.hit" in read_page(site)
    assert [attrs.get("src") for tag, attrs in elements if tag == "script"] == ["site.js"]
    assert not any(name.startswith("on") for _, attrs in elements for name in attrs)
    assert "{{7*7}}" in page, "text is no template"
    raw = set(page) - {"\n", "\xa0"}
    assert all(map(str.isprintable, raw)), "control or bidirectional characters"
    (policy,) = (attrs["content"] for _, attrs in elements if attrs.get("http-equiv"))
    directives = {part.split()[0]: part.split()[1:] for part in (policy or "").split(";")}
    assert directives["default-src"] == ["'none'"]
    assert directives["script-src"] == ["'self'", "file:", "'wasm-unsafe-eval'"]
    assert re.fullmatch(rb'window\.lcmaDatabase = "[\w+/=]*";\n', site["database.js"])


def test_a_site_is_a_folder_of_files_and_replaces_a_former_one(filled) -> None:
    out = Path("site")
    assert write_site(filled.store, out) == len(FILES) - 1
    (out / "index.html").write_text("of a former site")
    write_site(filled.store, out)
    assert {path.name for path in out.iterdir()} == FILES
    page = (out / "index.html").read_text()
    linked = [attrs.get("src") or attrs.get("href") for _, attrs in worlds.Elements(page).elements]
    local = {link for link in linked if link and "/" not in link and "#" not in link}
    assert {"site.js", "site.css"} <= local <= FILES
    filled.store.close()
    Path("lcma.db").rename("gone.db")
    with pytest.raises(UserError):
        write_site(filled.store, out)
    assert (out / "index.html").read_text() == page


@pytest.mark.parametrize(
    ("out", "message"),
    [("thesis", "holds other files than a site"), ("file", "is not a folder"), ("-", "--out DIR")],
)
def test_a_folder_that_is_no_site_is_refused_and_kept(filled, lcma, out, message) -> None:
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("years of work")
    Path("file").write_text("")
    refused(lcma("export", "--format", "html", "--out", out), message)
    assert [path.name for path in Path("thesis").iterdir()] == ["chapter.tex"]
