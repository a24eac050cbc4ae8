"""The documentation: pages made from the code, links, commands, and the search."""

import re
import shutil
from pathlib import Path

import pytest

from docs import reference
from lcma.db.relations import find_relations
from lcma.sweeps import strict_yaml
from lcma.sweeps.measures import SHIPPED
from lcma.sweeps.spec import check
from tests.processes import ROOT, read_output

DOCS = ROOT / "docs"
MADE = reference.make_pages()
WRITTEN = {path.stem: path.read_text(encoding="utf-8") for path in DOCS.glob("*.md")}
COMMANDS = dict(reference.list_commands())
OPTIONS = {option for c in COMMANDS.values() for param in c.params for option in param.opts}
OPTIONS |= {"--version", "--help", "--install-completion", "--show-completion"}

PAGES_WITH_OTHER_PROGRAMS = {"cluster", "postgresql", "benchmarks"}
"""Pages with options of other programs."""


def find_rows(text: str, begin: str = "`") -> list[list[str]]:
    """Return the cells of all table rows that begin with ``begin``, by default with code."""
    rows = re.findall(rf"^\| ({begin}.*) \|$", text, flags=re.M)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)] for row in rows]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_commands_has_every_option_and_its_meaning(name: str) -> None:
    (section,) = re.findall(rf"^### lcma {name}\n(.*?)(?=^##|\Z)", MADE["commands"], re.M | re.S)
    options = [param for param in COMMANDS[name].params if param.name != "help"]
    for option, row in zip(options, find_rows(section), strict=True):
        assert all(name in row[0] for name in option.opts if name.startswith("--"))
        assert len(row[2]) > 8


def test_the_pages_of_commands_and_scripts_name_the_same_commands() -> None:
    table = WRITTEN["scripts"].partition("## Commands")[2].partition("\n\n| exit code")[0]
    rows = {row[0].strip("`").removeprefix("lcma "): row for row in find_rows(table)}
    assert rows.keys() == COMMANDS.keys()
    for name, command in COMMANDS.items():
        has_json = any("--json" in param.opts for param in command.params)
        assert bool(rows[name][1]) == has_json, name


@pytest.mark.parametrize("page", [*DOCS.glob("*.md"), *ROOT.glob("*.md")], ids=lambda p: p.name)
def test_no_page_names_an_unknown_command_or_its_option(page: Path) -> None:
    groups = {name.split()[0] for name in COMMANDS}
    begin = r"(?:^|`|&& |\"|- run: |\.venv/bin/)lcma "
    for line in re.findall(rf"{begin}([a-z-][^`\n#]*)", page.read_text(encoding="utf-8"), re.M):
        words = re.split(r"&&|[<>|]", line)[0].split()
        command = COMMANDS.get(" ".join(words[:2])) or COMMANDS.get(words[0])
        if command is None:
            assert words[0] in groups | OPTIONS, line
            continue
        options = {option for param in command.params for option in param.opts} | {"--help"}
        named = {word.partition("=")[0] for word in words[1:] if re.match(r"--[a-z]", word)}
        assert named <= options, line


@pytest.mark.parametrize("name", sorted(WRITTEN.keys() - PAGES_WITH_OTHER_PROGRAMS))
def test_no_page_names_an_unknown_option(name: str) -> None:
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", WRITTEN[name]):
        if not code.startswith("rsync"):
            assert set(re.findall(r"(?<!\S)--[a-z0-9-]+", code)) <= OPTIONS, code


def test_every_key_of_a_sweep_file_has_a_meaning() -> None:
    rows = find_rows(MADE["keys"])
    assert len(rows) > 80
    plain = {"model.architecture", "model.flow", "model.channels", "model.preprocess"}
    words = {key.strip("`") for key, _, meaning in rows if not re.search("[; ]", meaning)}
    assert words <= plain, "a meaning of one word"


def test_the_page_of_columns_has_every_view_table_and_column() -> None:
    sections = MADE["schema"].split("\n### ")[1:]
    for section, relation in zip(sections, find_relations(), strict=True):
        assert section.startswith(f"{relation.name}\n")
        assert relation.meaning in section
        columns = [(row[0].strip("`"), row[1]) for row in find_rows(section)]
        assert columns == [(column.name, column.type) for column in relation.columns]


def test_the_page_of_measures_has_every_measure() -> None:
    assert [row[0].strip("`") for row in find_rows(MADE["measures"])] == [k.name for k in SHIPPED]


def test_the_examples_of_sweep_files_are_sweeps() -> None:
    pages = "".join(WRITTEN[name] for name in sorted(WRITTEN))
    blocks = re.findall(r"```yaml\n(.*?)```", pages, re.S)
    sweeps = [block for block in blocks if "\nmatrix:" in block and "plugins:" not in block]
    names = [check(strict_yaml.parse(sweep, "page"), "page").name for sweep in sweeps]
    assert names == ["first", "words", "budgets", "budget"]


@pytest.mark.parametrize(
    "name", sorted(WRITTEN.keys() - {"index", "glossary", "api", "benchmarks"})
)
def test_every_page_links_the_glossary(name: str) -> None:
    assert "](glossary.md" in WRITTEN[name]


def test_contributing_names_existing_files_in_at_most_35_rows() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rows = find_rows(text.partition("Then find the module:")[2].partition("**Ids.**")[0], begin="")
    assert len(rows) <= 35 + len(("head", "line"))
    paths = re.findall(r"`((?:db|deploy|docs|harness|models|src|sweeps|tests)/[\w./-]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
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
    options = ["-q", "-W", "--keep-going", "-b", "html"]
    read_output("-m", "sphinx", *options, source / "docs", source / "site")
    return source / "site"


@pytest.mark.integration
def test_a_search_finds_the_page_first_and_machines_find_every_page(site: Path) -> None:
    """A browser runs Sphinx's search, which is a script."""
    sync_api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("no Chromium is installed here")
    results = {}
    with sync_api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        for query in QUERIES:
            page.goto(f"{(site / 'search.html').as_uri()}?q={query.replace(' ', '+')}")
            links = page.locator("#search-results ul.search li > a")
            links.first.wait_for()
            results[query] = Path(links.first.get_attribute("href").split("#")[0]).stem
        browser.close()
    assert results == QUERIES
    lines = (site / "llms.txt").read_text().splitlines()
    sources = [re.findall(r"\]\((\S+)\): \S", line) for line in lines if line.startswith("- ")]
    assert all(len(paths) == 1 and (site / paths[0]).is_file() for paths in sources)
    assert len(sources) > 25
