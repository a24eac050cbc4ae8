"""Exports in every form: known numbers, the same bytes, and harmless whatever was stored."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lcma.db.migrate import current_version
from lcma.harness.results.board import read_board
from lcma.harness.results.filters import parse_filters
from lcma.harness.show.board import board_as_latex
from lcma.harness.show.export import FORMATS, ExportQuery, make_export
from lcma.harness.show.tables import Table, TableColumn, escape_csv, tables_as_latex
from lcma.sweeps.errors import UserError
from tests.db import crowd
from tests.harness.cli.conftest import refused, run_lcma
from tests.harness.show.synthetic import board_of, wobbling
from tests.harness.show.test_tables import HOSTILE

GOLDEN = Path(__file__).with_name("golden")

QUERIES = {
    "board": ExportQuery(),
    "results": ExportQuery("results", where=("seed=0",)),
    "verdicts": ExportQuery("verdicts"),
    "paper1": ExportQuery(paper="1"),
}

IN_ALL_FORMATS = ("board", "verdicts")
"""Contents that have a writer of their own for a format; the others are plain tables."""


@pytest.fixture
def store(new_store):
    """A database that has been worked with, on each engine."""
    store = new_store("empty")
    crowd.fill(store)
    return store


@pytest.mark.slow_on("postgresql")
def test_golden_exports_byte_for_byte(store, request):
    """`LCMA_GOLDEN=new` writes the files anew."""
    for name in IN_ALL_FORMATS:
        query = QUERIES[name]
        for form in FORMATS:
            content = make_export(store, query, form)
            if form == "parquet":  # its bytes carry the version of pyarrow
                assert content == make_export(store, query, form)
                table = pq.read_table(io.BytesIO(content))
                lines = list(csv.reader(io.StringIO(make_export(store, query, "csv").decode())))
                assert table.num_rows == len(lines) - 1
                assert [escape_csv(name) for name in table.column_names] == lines[0]
                continue
            file = GOLDEN / f"{name}.{form}"
            if os.environ.get("LCMA_GOLDEN") == "new":
                GOLDEN.mkdir(exist_ok=True)
                file.write_bytes(content)
            assert content == file.read_bytes(), file.name


def run(capfdbinary, *arguments):
    code = run_lcma(*arguments)
    printed = capfdbinary.readouterr()
    return code, printed.out, printed.err.decode()


def test_every_file_has_a_manifest(filled, capfdbinary):
    for form in ("csv", "parquet"):
        command = ("export", "--format", form, "--where", "flow=realnvp")
        assert run(capfdbinary, *command, "--out", f"x.{form}")[0] == 0
        content = Path(f"x.{form}").read_bytes()
        manifest = json.loads(Path(f"x.{form}.manifest.json").read_text())
        assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
        assert manifest["bytes"] == len(content)
        assert manifest["schema"] == current_version()
        assert manifest["generator"].startswith("lcma ")
        assert manifest["query"]["where"] == ["flow=realnvp"]
        assert run(capfdbinary, *command)[1] == content
        blocked = Path(f"y.{form}.manifest.json")
        blocked.mkdir()
        assert run(capfdbinary, *command, "--out", f"y.{form}")[0] == 2
        assert not Path(f"y.{form}").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--where", "flow"], "give KEY=VALUE"),
        (["--where", "bits_per_dim=x"], "bits_per_dim is a number"),
        (["verdicts", "--paper", "table1"], "verdicts and --paper are two tables"),
        (["verdicts", "--factorization", "low"], "leave --factorization out"),
        (["--format", "html", "--json"], "--json and --format html exclude each other"),
    ],
)
def test_mistakes_are_one_line(filled, lcma, arguments, message):
    refused(lcma("export", *arguments, "--out", "x"), message)
    assert not Path("x").exists()


def test_filters_are_values_and_never_sql(filled):
    injection = "x' OR 1=1; DROP TABLE flow_trials; --"
    with pytest.raises(UserError, match=r"no results with --flow x' OR 1=1; DROP"):
        make_export(filled.store, ExportQuery(where=(f"flow={injection}",)), "csv")
    assert filled.store.view("results", **parse_filters([f"factorization={injection}"])).empty
    assert len(filled.store.view("results")) == 10
    query = ExportQuery("results", where=("seed=0", "seed=1", "factorization=random"))
    assert len(make_export(filled.store, query, "csv").splitlines()) == 1 + 2
    query = ExportQuery("results", where=("budget=null",))
    assert len(make_export(filled.store, query, "csv").splitlines()) == 1 + 10
    (group,) = read_board(filled.store, **parse_filters(["seed=0", "seed=1"])).groups
    variant = parse_filters((), dataset=["celeba64-float"])
    assert variant == {"dataset": ("celeba64",), "variant": ("float",)}
    with pytest.raises(UserError, match="--dataset celeba64 --where variant=float alone"):
        parse_filters(["dataset=cifar10"], dataset=["celeba64-float"])
    assert {row.n for row in group.rows} == {2}


def test_latex_has_the_best_rows_in_bold():
    rows = wobbling("channel", 4.0) + wobbling("rows", 4.001, turn=2)
    rows += wobbling("checkerboard-even", 5.0, turn=3)
    bold = re.findall(r"textbf\{(.*?)\}", board_as_latex(board_of(rows)))
    assert bold == ["channel", "4.3013", "rows", "4.3023"], "a tie, whatever the digits"
    below = board_as_latex(
        board_of([row | {"bits_per_dim": row["bits_per_dim"] - 9} for row in rows])
    )
    assert r"$\mathbf{-4.6987}$" in below
    few = board_as_latex(board_of([row for row in rows if row["seed"] < 5]))
    assert "textbf" not in few, "five seeds decide nothing"


def test_every_column_of_a_board_is_explained() -> None:
    docs = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
    section = docs.split("### Columns of a board")[1].split("\n## ")[0]
    (columns, *_) = csv.reader((GOLDEN / "board.csv").read_text().splitlines())
    assert [name for name in columns if f"`{name}`" not in section] == []


def test_latex_compiles(filled, tmp_path):
    program = next((p for p in ("pdflatex", "tectonic") if shutil.which(p)), None)
    if program is None:
        pytest.skip("no TeX is installed here")
    sources = {name: make_export(filled.store, query, "latex") for name, query in QUERIES.items()}
    columns = (TableColumn("text"),)
    hostile = Table(columns, tuple((text,) for text in HOSTILE), " ".join(HOSTILE))
    sources["hostile"] = tables_as_latex([hostile]).encode()
    for name, source in sources.items():
        needed = "\n".join(re.findall(r"^% (\\usepackage.*)", source.decode(), re.MULTILINE))
        document = f"\\documentclass{{article}}{needed}\\begin{{document}}{source.decode()}"
        (tmp_path / f"{name}.tex").write_text(f"{document}\\mbox{{}}\\end{{document}}")
        options = ["-interaction=nonstopmode", "-halt-on-error"] if program == "pdflatex" else []
        done = subprocess.run(
            [program, *options, f"{name}.tex"], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr
        assert (tmp_path / f"{name}.pdf").stat().st_size > 0
