"""The documentation: pages made from the code, links, commands, and the search."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs import reference
from lcma.db.relations import find_relations
from lcma.sweeps import strict_yaml
from lcma.sweeps.measures import SHIPPED
from lcma.sweeps.spec import check

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = reference.make_pages()
WRITTEN = {path.stem: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}


PAGES_WITH_OTHER_PROGRAMS = {"cluster", "postgresql", "benchmarks"}
"""Pages with options of other programs."""


def find_rows(text: str, begin: str = "`") -> list[list[str]]:
    """Return the cells of all table rows that begin with ``begin``, by default with code."""
    rows = re.findall(rf"^\| ({begin}.*) \|$", text, flags=re.M)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]


@pytest.mark.parametrize(("name", "command"), list(reference.list_commands()))
def test_the_page_of_commands_has_every_option_and_what_it_does(name: str, command: object) -> None:
    (section,) = re.findall(rf"^### lcma {name}\n(.*?)(?=^##|\Z)", MADE["commands"], re.M | re.S)
    options = [param for param in command.params if param.name != "help"]
    rows = find_rows(section)
    assert len(rows) == len(options)
    for option, row in zip(options, rows, strict=True):
        assert all(name in row[0] for name in option.opts if name.startswith("--"))
        assert len(row[2]) > 8


def test_the_pages_of_commands_and_scripts_name_the_same_commands() -> None:
    commands = dict(reference.list_commands())
    table = WRITTEN["scripts"].partition("## Commands")[2].partition("\n\n| exit code")[0]
    rows = {row[0].strip("`").removeprefix("lcma "): row for row in find_rows(table)}
    assert rows.keys() == commands.keys()
    for name, command in commands.items():
        has_json = any("--json" in param.opts for param in command.params)
        assert bool(rows[name][1]) == has_json, name


def test_no_page_names_an_unknown_command_or_its_option() -> None:
    commands = dict(reference.list_commands())
    known = {*commands, *(name.split()[0] for name in commands), "--version", "--help", "COMMAND"}
    known |= {"--install-completion", "--show-completion", "X"}
    wrong = []
    for page in (*DOCS.glob("*.md"), *ROOT.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for line in re.findall(
            r"(?:^|`|&& |\"|- run: |\.venv/bin/)lcma ([a-z-][^`\n#]*)", text, re.M
        ):
            words = re.split(r"&&|[<>|]", line)[0].split()
            name = next((n for n in (" ".join(words[:2]), words[0]) if n in known), None)
            if name is None:
                wrong.append((page.name, line))
                continue
            command = commands.get(name)
            options = {o for p in command.params for o in p.opts} if command else known
            used = {w.partition("=")[0] for w in words[1:] if re.match(r"--[a-z]", w)}
            wrong += [(page.name, name, o) for o in used - options - {"--help"}]
    assert wrong == []


def test_no_page_names_an_unknown_option() -> None:
    known = {o for _, command in reference.list_commands() for p in command.params for o in p.opts}
    known |= {"--version", "--help", "--install-completion", "--show-completion"}
    wrong = []
    for name in sorted(WRITTEN.keys() - PAGES_WITH_OTHER_PROGRAMS):
        for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", WRITTEN[name]):
            used = re.findall(r"(?<!\S)--[a-z0-9-]+", "" if code.startswith("rsync") else code)
            wrong += [(name, option) for option in used if option not in known]
    assert wrong == []


def test_every_key_of_a_sweep_file_has_a_meaning() -> None:
    rows = find_rows(MADE["keys"])
    assert len(rows) > 80
    nameless = {"model.architecture", "model.flow", "model.channels", "model.preprocess"}
    unexplained = {
        k.strip("`") for k, _, meaning in rows if ";" not in meaning and " " not in meaning
    }
    assert unexplained <= nameless


def test_the_page_of_columns_has_every_view_table_and_column() -> None:
    parts = MADE["schema"].split("\n### ")[1:]
    assert [part.split("\n", 1)[0] for part in parts] == [
        relation.name for relation in find_relations()
    ]
    for part, relation in zip(parts, find_relations(), strict=True):
        assert relation.meaning in part
        named = [(row[0].strip("`"), row[1]) for row in find_rows(part)]
        assert named == [(column.name, column.type) for column in relation.columns]


def test_the_page_of_measures_has_every_measure() -> None:
    assert [row[0].strip("`") for row in find_rows(MADE["measures"])] == [k.name for k in SHIPPED]


def test_the_examples_of_sweep_files_are_sweeps() -> None:
    blocks = [
        block
        for name in sorted(WRITTEN)
        for block in re.findall(r"```yaml\n(.*?)```", WRITTEN[name], re.S)
        if "\nmatrix:" in block and "plugins:" not in block
    ]
    names = [check(strict_yaml.parse(block, "page"), "page").name for block in blocks]
    assert names == ["first", "words", "budgets", "budget"]


@pytest.mark.parametrize(
    "name", sorted(WRITTEN.keys() - {"index", "glossary", "api", "benchmarks"})
)
def test_every_page_links_the_glossary(name: str) -> None:
    assert "](glossary.md" in WRITTEN[name]


def test_every_page_is_in_the_index() -> None:
    blocks = re.findall(r"```\{toctree\}\n(.*?)```", WRITTEN["index"], re.S)
    listed = [name for block in blocks for name in re.findall(r"^[\w/-]+$", block, re.M)]
    generated = {f"_generated/{name}" for name in MADE}
    assert sorted(listed) == sorted((WRITTEN.keys() | generated) - {"index"})


def test_contributing_names_existing_files_in_at_most_35_rows() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = find_rows(text.partition("Then find the module:")[2].partition("**Ids.**")[0], begin="")
    assert len(rows) <= 35 + len(("head", "line"))
    named = re.findall(r"`((?:db|deploy|docs|harness|models|src|sweeps|tests)/[\w./-]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
    names = {path.name for path in ROOT.rglob("*.py") if not path.is_relative_to(ROOT / ".venv")}
    assert set(re.findall(r"`(\w+\.py)`", text)) <= names


QUERIES = {
    "add a rule": "extending",
    "resume": "running",
    "out of memory": "running",
    "export latex": "results",
    "own images": "own-images",
    "slurm": "cluster",
    "what is low": "faq",
    "training loop": "loop",
    "add seeds": "running",
    "glossary": "glossary",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation's site; every warning of the build is an error."""
    source = tmp_path_factory.mktemp("documentation")
    shutil.copytree(DOCS, source / "docs", ignore=shutil.ignore_patterns("_site", "_generated"))
    shutil.copytree(ROOT / "benchmarks", source / "benchmarks")
    out = source / "site"
    arguments = ["-q", "-W", "--keep-going", "-b", "html", str(source / "docs"), str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.integration
def test_a_search_finds_what_people_type_and_machines_find_every_page(site: Path) -> None:
    """In a browser, since Sphinx's search is a script."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed here")
    first = {}
    with sync_api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        for query in QUERIES:
            page.goto(f"{(site / 'search.html').as_uri()}?q={query.replace(' ', '+')}")
            links = page.locator("#search-results ul.search li > a")
            links.first.wait_for()
            first[query] = Path(links.first.get_attribute("href").split("#")[0]).stem
        browser.close()
    assert first == QUERIES
    lines = (site / "llms.txt").read_text().splitlines()
    sources = [re.findall(r"\]\((\S+)\): \S", line) for line in lines if line.startswith("- ")]
    assert all(len(paths) == 1 and (site / paths[0]).is_file() for paths in sources)
    assert len(sources) > 25
