"""The site as files: whole, the same each time, safe, and never in the place of other files."""

import base64
import gzip
import hashlib
import html
import io
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
import yaml
from matplotlib import colormaps
from PIL import Image

from lcma.db.query import run_sql
from lcma.harness.cli import main as cli
from lcma.harness.place import find_place
from lcma.harness.results.maps import MapReader, list_map_sets
from lcma.harness.results.statistics import compare_by_seed, paired_test
from lcma.harness.shards import open_reference
from lcma.harness.show.citation import PAPER_URL, RELEASED, find_code
from lcma.harness.show.site import Site, SiteOptions, console, write_site
from lcma.harness.show.site.queries import EXAMPLES
from lcma.sweeps.errors import UserError
from tests.harness.show import site as worlds
from tests.harness.show.conftest import BITS, Filler

pytestmark = pytest.mark.xdist_group("site")

PAGES = (
    *("index", "compare", "verdicts", "paper", "coverage", "trials", "maps", "budgets", "samples"),
    *("failures", "sql", "about"),
)
TEMPLATES = Path(__file__).parents[3] / "harness" / "show" / "site"


class Links(HTMLParser):
    """What a page points to, its ids, and the elements that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        self.links += [v for k in ("href", "src") if (v := found.get(k)) is not None]
        if "id" in found:
            self.ids.append(found["id"] or "")


def export(filler: Filler, out: Path, options: SiteOptions | None = None) -> dict[str, bytes]:
    where = find_place(filler.url, filler.runs, filler.folder / "data")
    chosen = options or SiteOptions(samples=False, database=False)
    written = write_site(filler.store, where, out, chosen)
    files = {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert len(files) == written + 1  # and the mark
    return files


@dataclass(frozen=True)
class Whole:
    """A filled database with its site."""

    filler: Filler
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def whole(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    shutil.copy(empty_database, folder / "lcma.db")
    filler = Filler(folder)
    worlds.fill(filler)
    return Whole(filler, export(filler, folder / "site", SiteOptions(samples=False)))


def pages(files: dict[str, bytes]) -> dict[str, str]:
    return {name: content.decode() for name, content in files.items() if name.endswith(".html")}


def assert_shows_all_pictures(files: dict[str, bytes]) -> None:
    shown = {
        os.path.normpath(Path(name).parent / link)
        for name, text in pages(files).items()
        for link in Links(text).links
    }
    made = {name for name in files if name.endswith((".png", ".svg", ".webp"))}
    assert made
    assert made <= shown


def test_no_page_may_run_a_script_that_is_not_a_file_of_the_site(whole) -> None:
    for name, text in pages(whole.files).items():
        (policy,) = (
            found["content"] or ""
            for tag, found in Links(text).elements
            if tag == "meta" and found.get("http-equiv") == "Content-Security-Policy"
        )
        directives = {d.split()[0]: d.split()[1:] for d in policy.split(";")}
        assert directives["default-src"] == ["'none'"], name
        runs_sql = name == "sql.html"
        assert directives["script-src"][:2] == ["'self'", "file:"], name
        assert directives["script-src"][2:] == ["'wasm-unsafe-eval'"] * runs_sql, name
        assert directives.get("worker-src", []) == ["blob:"] * runs_sql, name


def test_a_site_has_every_page_and_every_link_leads_somewhere(whole) -> None:
    files = whole.files
    found = pages(files)
    assert {f"{name}.html" for name in PAGES} <= found.keys()
    for name, text in found.items():
        parsed = Links(text)
        assert len(parsed.ids) == len(set(parsed.ids)), name
        for link in parsed.links:
            path, _, anchor = link.partition("#")
            target = os.path.normpath(Path(name).parent / path) if path else name
            away = link.startswith("data:,") or link == PAPER_URL
            assert away or target in files, (name, link)
            if away:
                continue
            if path == "sql.html" and anchor.startswith("sql="):
                continue  # a query
            if path.endswith("compare.html") and anchor:
                assert_leads_to_rows(files, anchor)
                continue
            assert not anchor or anchor in Links(files[target].decode()).ids, (name, link)
        assert all(attrs.get("alt") for tag, attrs in parsed.elements if tag == "img"), name
        assert len(text) < 2_000_000
    assert_shows_all_pictures(files)


def assert_leads_to_rows(files: dict[str, bytes], anchor: str) -> None:
    for name, row, *seed in (value.split("/") for _, value in parse_qsl(anchor)):
        (found,) = [one for one in read_table(files, name)["rows"] if one["key"] == row]
        known = {str(one["seed"]) for one in found["trials"]}
        assert not seed or seed[0] in known


def read_table(files: dict[str, bytes], name: str) -> dict[str, Any]:
    """What the page of two rows reads of a table."""
    text = files[f"data/compare/{name}.js"].decode()
    start = text.index("] = JSON.parse(") + len("] = JSON.parse(")
    found: dict[str, Any] = json.loads(json.loads(text[start:-3]))
    return found


def test_the_navigation_leaves_out_pages_with_nothing_on_them(whole, filler, tmp_path) -> None:
    filler.results({"checkerboard-even": {0: 4.0}})
    bare = export(filler, tmp_path / "site")
    for files, failures in ((whole.files, True), (bare, False)):
        text = files["about.html"].decode()
        tabs = Links(text[text.index("<nav") : text.index("</nav>")]).links
        assert "samples.html" not in tabs  # since no weights were kept
        assert ("failures.html" in tabs) is failures
        assert {"index.html", "trials.html"} <= set(tabs)
        assert {"samples.html", "failures.html"} <= files.keys()


def test_pictures_of_maps_are_the_stored_values_on_one_scale_for_each_split(whole) -> None:
    sets = list_map_sets(whole.filler.store)
    reader, shown = MapReader(whole.filler.store, sets), set[str]()
    for one in sets:
        for item in reader.maps(one):
            ending = f"-{one.key.score}-b{one.key.budget}-s{item.split}-"
            values = item.values.astype(np.float64)
            expected = colormaps["cividis"]((values - values.min()) / np.ptp(values), bytes=True)
            names = [n for n in whole.files if re.search(rf"{re.escape(ending)}\d\.png$", n)]
            drawn = {n: np.asarray(Image.open(io.BytesIO(whole.files[n]))) for n in names}
            for channel, picture in enumerate(expected[..., :3]):
                like = {n for n, found in drawn.items() if (found == picture).all()}
                assert [n for n in like if n.endswith(f"-{channel}.png")]
                shown |= like
    assert shown == {n for n in whole.files if re.search(r"-b\d+-s\d-\d\.png$", n)}


CITATION = Path(__file__).parents[3] / "CITATION.cff"


def test_the_site_says_how_to_cite_as_the_citation_file_does(whole) -> None:
    text = html.unescape(whole.files["about.html"].decode())
    known = yaml.safe_load(CITATION.read_text())
    (paper,) = known["references"]
    (developers,) = known["authors"]
    authors = [f"{one['family-names']}, {one['given-names']}" for one in paper["authors"]]
    for cited, names in ((known, f"{{{developers['name']}}}"), (paper, " and ".join(authors))):
        assert f"title = {{{cited['title']}}}" in text
        assert f"author = {{{names}}}" in text
    for key in ("version", "license"):
        assert f"{key} = {{{known[key]}}}" in text
    assert f"year = {{{paper['year']}}}" in text
    assert f"{known['date-released']}" == RELEASED
    assert paper["url"] in Links(text).links
    assert find_code() == known.get("repository-code")
    assert "photographs of scikit-image: seven are public domain or CC0" in text
    assert "`" not in text


def test_every_pair_of_rows_has_its_paired_test(filled, tmp_path) -> None:
    files = export(filled, tmp_path / "site")
    ((page, text),) = [(n, t) for n, t in pages(files).items() if n.startswith("compare/")]
    table = read_table(files, Path(page).stem)
    assert [row["factorization"] for row in table["rows"]] == [
        *("channel", "checkerboard-even", "random")
    ]
    # channel less checkerboard-even by seed: -0.10, +0.02, -0.20, -0.03
    n, mean, half, flip, holm, detectable, by_seed = table["tests"][0]
    test = compare_by_seed(BITS["channel"], BITS["checkerboard-even"])
    assert test is not None
    assert (n, by_seed) == (4, [-10000, 2000, -20000, -3000])
    assert (mean, flip) == pytest.approx((-0.0775, 4 / 16))
    assert (half, detectable) == pytest.approx((test.half_width, test.detectable), abs=1e-5)
    assert holm is None
    assert len(table["tests"]) == 3
    # and without scripts
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*channel against checkerboard-even.*?</tr>", text)
    assert f"{test.half_width:.4f}</small></td>" in row
    assert "seeds -0.1000 +0.0200 -0.2000 -0.0300" in row
    assert f'<a href="{page}">' in files["index.html"].decode()


def test_a_table_has_its_curves_with_the_differences_from_the_conventional_rule(whole) -> None:
    ((page, text),) = [(n, t) for n, t in pages(whole.files).items() if n.startswith("compare/")]
    script = whole.files[f"data/compare-{Path(page).stem}.js"].decode()
    charts = json.loads(script.removeprefix("window.lcmaCharts = ").removesuffix(";\n"))
    assert charts.keys() == {"overlay-0", "differences-0"}
    points = charts["differences-0"]["datasets"]["lines"]
    # random less even: 0.5 + 0.01 seed at each step
    test = paired_test([0.5 + 0.01 * seed for seed in worlds.SEEDS])
    assert {one["line"] for one in points} == {1}
    for one in points:
        assert one["value"] == pytest.approx(0.525)
        assert (one["low"], one["high"]) == pytest.approx((test.low, test.high), abs=1e-5)
    lines = charts["overlay-0"]["datasets"]["lines"]
    (first,) = [one for one in lines if (one["line"], one["step"]) == (0, 10)]
    assert (first["low"], first["value"], first["high"]) == pytest.approx((14.0, 14.025, 14.05))
    assert f"random +0.5250 ± {test.half_width:.4f} at step" in text


@pytest.mark.integration
def test_the_same_database_gives_the_same_bytes(whole, tmp_path) -> None:
    again = export(whole.filler, tmp_path / "again", SiteOptions(samples=False))
    assert again == whole.files


@pytest.mark.parametrize(
    ("by", "seeds", "before", "after"),
    [
        (-0.2, 6, "", " is better than checkerboard-even, -0.200 ±"),
        (0.0, 6, "", " is not told apart from checkerboard-even, 0.000 ±"),
        (-0.2, 5, "5 seeds cannot tell ", " (6 are the least) from checkerboard-even"),
    ],
)
def test_the_first_page_begins_with_what_the_results_say(
    filler, tmp_path, by, seeds, before, after
) -> None:
    says = f"{before}low (after 1,000 pretraining steps){after}"
    even = {seed: 4.0 + seed / 10 for seed in range(seeds)}
    low = {seed: bits + by + (seed % 2 - 0.5) / 100 for seed, bits in even.items()}
    filler.results({"checkerboard-even": even})
    filler.results({"LL": {seed: bits + 1 for seed, bits in low.items()}}, budget=100)
    filler.results({"LL": low}, budget=1000)
    text = export(filler, tmp_path / "site")["index.html"].decode()
    assert text.index(says) < text.index("<table")
    assert f"{3 * seeds} results, made " in text


def test_hostile_text_is_only_ever_text(filler, tmp_path) -> None:
    worlds.fill_hostile(filler)
    files = export(filler, tmp_path / "site")
    shown = 0
    for name, text in pages(files).items():
        parsed = Links(text)
        scripts = [attrs for tag, attrs in parsed.elements if tag == "script"]
        assert all(attrs.get("src", "").endswith(".js") for attrs in scripts), name
        assert not any("onerror" in attrs for _, attrs in parsed.elements), name
        shown += html.escape("<script>window.hit=1</script>") in text
    ours = [name for name in files if name.endswith((".html", ".js")) and "vega" not in name]
    raw = set("".join(files[name].decode() for name in ours)) - set("\n\xa0")
    assert all(map(str.isprintable, raw)), "control or bidirectional characters"
    for name in ours:
        as_json = re.search(rb"[^\\]\\u(202e|001b|0007)", files[name])
        assert name.endswith(".html") or not as_json, name
    assert shown >= 5
    assert all(re.fullmatch(r"[A-Za-z0-9_./-]+", name) for name in files)


def test_a_folder_that_is_no_site_of_ours_is_refused_and_kept(filled, tmp_path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("years of work")
    with pytest.raises(UserError, match="no site of ours"):
        export(filled, out)
    assert [p.name for p in out.iterdir()] == ["chapter.tex"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is no folder"):
        export(filled, tmp_path / "file")


@pytest.mark.integration
def test_a_former_site_is_replaced_whole_and_stays_where_that_fails(filled, tmp_path) -> None:
    filler, out = filled, tmp_path / "site"
    export(filler, out)
    (out / "old.html").write_text("of a trial that is gone")
    before = export(filler, out)
    assert "old.html" not in before
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".site")] == []
    filler.store.close()
    (filler.folder / "lcma.db").rename(filler.folder / "gone.db")
    with pytest.raises(UserError):
        export(filler, out)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == before.keys()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".site")] == []


def test_an_empty_database_has_pages_that_say_so(filler, tmp_path) -> None:
    found = pages(export(filler, tmp_path / "site"))
    assert "No results yet" in found["index.html"]
    assert "no sweep yet" in found["coverage.html"]
    assert "No contribution maps yet" in found["maps.html"]
    assert "No job here" in found["failures.html"]


def test_samples_stand_side_by_side_and_a_flow_without_weights_says_why(filler, tmp_path) -> None:
    filler.weights("channel", 0)
    filler.weights("random", 0).write_bytes(b"torn")
    files = export(filler, tmp_path / "site", SiteOptions(database=False))
    text = files["samples.html"].decode()
    drawn = [link for link in Links(text).links if link.endswith("-samples.png")]
    assert len(drawn) == 1
    assert files[drawn[0]].startswith(b"\x89PNG")
    assert "the weights" in text
    assert_shows_all_pictures(files)


@pytest.mark.integration
def test_rows_of_a_sweep_are_over_its_own_seeds(any_filler) -> None:
    any_filler.data("a" * 64, "cifar10")
    data: dict[str, Any] = {"digest": "a" * 64, "dataset": "cifar10"}
    low: dict[str, Any] = {"budget": 100, **data}
    any_filler.results({"LL": {0: 4.0, 1: 4.2}}, sweep="s1", **low)
    any_filler.results({"checkerboard-even": {0: 4.3}, "channel": {0: 3.9}}, sweep="s1", **data)
    any_filler.results({"LL": {2: 9.0}}, **low)
    any_filler.results({"checkerboard-even": {1: 1.0, 2: 1.0}, "channel": {1: 8.0}}, **data)
    options = SiteOptions(sweep_id="s1", samples=False, database=False)
    site = Site(any_filler.store, find_place(any_filler.url, None, None), options)
    text = site.page("paper.html").decode()
    assert '<td class="num less">2</td><td class="num strong">4.1000' in text


@pytest.mark.integration
@pytest.mark.slow_on("postgresql-None")
@pytest.mark.parametrize("sweep_id", [None, "it's"])
def test_the_sql_on_the_pages_runs_as_it_stands(any_filler, tmp_path, sweep_id) -> None:
    if sweep_id is None:
        any_filler.results(BITS)
    else:
        any_filler.results(BITS, sweep=sweep_id)
    options = SiteOptions(sweep_id=sweep_id, samples=False, database=False)
    site = Site(any_filler.store, find_place(any_filler.url, None, None), options)
    text = (site.page("about.html") + site.page("sql.html")).decode()
    statements = re.findall(r"<pre tabindex=\"0\">((?:SELECT|WITH).*?)</pre>", text, re.S)
    assert len(statements) >= 7 + len(EXAMPLES)
    for statement in map(html.unescape, statements):
        found = run_sql(any_filler.url, statement)
        assert found.columns
        if "FROM results" in statement and "JOIN" not in statement:
            assert len(found.rows) == sum(map(len, BITS.values()))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.name)
def test_each_example_of_the_page_has_rows_in_the_reference(example) -> None:
    found = run_sql(str(open_reference()), example.sql)
    assert found.rows
    assert not found.truncated
    if "Drawn" in example.about:
        assert len(found.columns) == 2
        assert len(found.rows) > 1


def test_a_site_has_its_results_as_a_database_that_names_nobody(whole, tmp_path) -> None:
    content = whole.files["data/results.sqlite"]
    (tmp_path / "results.sqlite").write_bytes(content)
    own = "SELECT trial_id, bits_per_dim FROM results ORDER BY trial_id"
    copied = run_sql(str(tmp_path / "results.sqlite"), own)
    assert copied.rows == run_sql(whole.filler.url, own).rows
    assert b"node1" not in content
    script = whole.files["data/database.js"].decode()
    (in_script,) = re.findall(r'"(.*)"', script)
    assert gzip.decompress(base64.b64decode(in_script)) == content
    for page in ("sql.html", "index.html"):
        assert 'href="data/results.sqlite" download' in whole.files[page].decode()


def test_a_database_too_large_for_a_page_is_there_as_a_file(filled, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(console, "LIMIT", 10_000)
    files = export(filled, tmp_path / "site", SiteOptions(samples=False))
    assert {name for name in files if "sql" in name} == {"sql.html", "data/results.sqlite"}
    text = files["sql.html"].decode()
    assert "more than the 9.8 KiB that can be queried in a page" in text
    assert "wasm" not in text
    assert 'href="data/results.sqlite" download' in text


@pytest.mark.parametrize(
    ("database", "says"), [(True, "lcma db publish"), (False, "exported without its database")]
)
def test_without_a_database_the_page_has_its_questions(filler, tmp_path, database, says) -> None:
    filler.maps(0, 100)
    filler.finish(filler.plan("LL", 0, budget=100), 4.0)
    with closing(sqlite3.connect(filler.folder / "lcma.db")) as connection:
        connection.execute("DELETE FROM contribution_maps")
        connection.commit()
    files = export(filler, tmp_path / "site", SiteOptions(samples=False, database=database))
    assert {name for name in files if "sql" in name} == {"sql.html"}
    text = files["sql.html"].decode()
    assert says in text
    assert str(filler.folder) not in text
    assert text.count("<pre") == len(EXAMPLES)
    assert "sql.html#sql=" not in files["index.html"].decode()


def test_sqlite_for_the_browser_is_the_published_file_with_its_licence() -> None:
    folder = TEMPLATES / "assets" / "sqljs"
    about = (folder / "README.md").read_text()
    pinned = dict(re.findall(r"\| `(.*?)` \| `([0-9a-f]{64})` \|", about))
    assert pinned.keys() == {"sql-wasm-browser.js", "sql-wasm.wasm"}
    for name, digest in pinned.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    (version,) = re.findall(r"# sql.js ([\d.]+)", about)
    page = (TEMPLATES / "templates" / "sql.html").read_text()
    assert f"sql.js {version}" in page
    assert f"sql.js {version}" in (TEMPLATES.parents[2] / "docs" / "site.md").read_text()
    assert "Permission is hereby granted, free of charge" in (folder / "LICENSE").read_text()


def test_the_verb_writes_a_site_and_says_where(filled, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["export", "--format", "html", "--out", "site", "--no-samples"])
    said = capsys.readouterr()
    assert said.out == ""
    first, *_, last = said.err.splitlines()
    assert first == "reading results"
    assert last.endswith(str(tmp_path / "site" / "index.html"))
    assert (tmp_path / "site" / "index.html").is_file()


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ((), "give --out DIR"),
        (("results", "--out", "site"), "give --sweep or --by alone"),
        (("--out", "site", "--where", "flow=glow"), "give --sweep or --by alone"),
        (("--out", "site", "--sweep", "nobody's"), "no sweep"),
    ],
)
def test_what_a_site_cannot_do_is_said(filler, tmp_path, capsys, more, word) -> None:
    filler.results(BITS, sweep="s1")
    with pytest.raises(SystemExit) as end:
        cli.main(["export", *more, "--format", "html"])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert word in said
    assert said.count("\n") == 1
    assert not (tmp_path / "site").exists()


def test_a_trial_that_was_run_again_is_listed_once_with_its_current_result(filler) -> None:
    job = filler.plan("random", 0)
    filler.finish(job, 4.0)

    def shown() -> tuple[str, str]:
        where = find_place(filler.url, filler.runs, filler.folder / "data")
        site = Site(filler.store, where, SiteOptions(samples=False, database=False))
        return site.page("trials.html").decode(), site.page("index.html").decode()

    assert filler.store.rerun([job.id], by="ann@here", now=5.0) == 1
    while_it_waits = shown()
    filler.finish(job, 3.75)
    for (trials, board), bits in ((while_it_waits, "4.0000"), (shown(), "3.7500")):
        assert trials.count('href="trials/') == 1
        assert bits in trials
        assert "1 result, made" in board


def test_each_content_of_a_data_set_has_a_grid_that_leads_to_its_own_rows(filler) -> None:
    for digest, bits in (("a" * 64, {0: 4.0, 1: 4.1}), ("b" * 64, {0: 4.2})):
        filler.data(digest)
        filler.results({"checkerboard-even": bits, "rows": bits}, digest=digest, sweep="s1")
        filler.fail(filler.plan("channel", 0, digest=digest, sweep="s1"), "code_error", "broken")
    site = Site(filler.store, find_place(filler.url, None, None), SiteOptions(samples=False))
    text = html.unescape(site.page("coverage.html").decode())
    grids = re.findall(r"<summary id.*?</table>", text, re.S)
    for grid, digest, done in zip(
        grids, ("aaaaaaaa", "bbbbbbbb"), ("2 of 2", "1 of 1"), strict=True
    ):
        assert f", data {digest}</summary>" in grid
        (address,) = re.findall(f'<a href="([^"]*)" aria-label="rows: {done}"', grid)
        assert f"-{digest}-" in address
    missing = re.findall(r"<li><b>(.*?)</b>", text)
    assert len(missing) == len(set(missing)) == 2
