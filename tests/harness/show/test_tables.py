"""One table in every format: what becomes of text that does not fit, and of hostile text."""

import csv
import io
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lcma.db import QueryResult
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    escape_latex,
    make_table,
    render_rows,
    render_table,
    table_as_csv,
    table_as_html,
    table_as_json,
    table_as_markdown,
    table_as_parquet,
    tables_as_latex,
)
from tests.harness.show.site import Elements
from tests.harness.show.synthetic import print_text

COLUMNS = (
    TableColumn("factorization"),
    TableColumn("bits_per_dim", "bits/dim", "number"),
    TableColumn("of"),
)
WORD = st.text("abc-()", min_size=1, max_size=12)
TEXT = st.lists(WORD, min_size=1, max_size=4).map(" ".join)


def lines_of(table: Table, width: int) -> list[str]:
    return print_text(render_table(table), width).splitlines()


@given(st.lists(st.tuples(TEXT, st.sampled_from([4.879, 13.5]), TEXT), min_size=1, max_size=4))
def test_words_are_whole_where_the_longest_of_each_column_fits(
    rows: list[tuple[str, float, str]],
) -> None:
    texts = [[column.title, *(str(row[j]) for row in rows)] for j, column in enumerate(COLUMNS)]
    longest = [max(len(word) for text in column for word in text.split()) for column in texts]
    width = sum(longest) + 2 * len(COLUMNS)
    lines = lines_of(Table(COLUMNS, tuple(rows)), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines[2:]).split()
    assert all({*row[0].split(), *row[2].split()} <= {*words} for row in rows)


def test_intervals_stay_on_a_line_where_other_text_can_wrap() -> None:
    columns = (TableColumn("of"), TableColumn("effect", right=True))
    rows = (("realnvp celeba64-16-float", "+5.211 ± 0.434"),)
    assert "+5.211 ± 0.434" in "\n".join(lines_of(Table(columns, rows), 34))


@pytest.mark.parametrize("width", [20, 30])
def test_a_table_that_cannot_fit_is_broken_within_words(width: int) -> None:
    row = ("conventional (checkerboard-even)", 4.8790, "celeba64-16-float")
    lines = lines_of(Table(COLUMNS, (row,)), width)
    assert max(map(len, lines)) <= width
    assert "4.879" in " ".join(lines)


def test_columns_that_are_cut_shrink_first_and_rows_are_one_line() -> None:
    columns = (
        TableColumn("cell", cut=True),
        TableColumn("done", right=True),
        TableColumn("why", cut=True),
    )
    rows = (("realnvp digits low", "6/6", "its maps failed: out of memory"), ("glow", "0/6", ""))
    table = Table(columns, rows)
    assert lines_of(table, 40)[2] == "realnvp digits low    6/6   its maps fa…"
    lines = [line.rstrip() for line in lines_of(table, 20)[2:]]
    assert lines == ["realnvp …    6/6   …", "glow         0/6"]


HOSTILE = (
    "\\input{/etc/passwd} $x$ %& #_^~{}[]<>|\"'` \\\\ ",
    '=HYPERLINK("http://x","y")',
    "=1+1",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\x1b[31mred\x1b[0m\x07\x9b31m",
    "\u202egnp.exe",
    "a\nb\r\tc",
    "| `x` <script>",
    "Köln ∞ 漢",
    "?`!`--- ,,",
    "\\end{document}",
    "[red]x[/red]",
    '"><b onclick=x>',
)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless_in_every_format(text: str) -> None:
    """In a cell, a heading, its meaning, the title, the line under it and a note."""
    columns = (TableColumn(text, meaning=text), TableColumn("n", kind="number"))
    table = Table(columns, ((text, 1), (text, -2)), title=text, subtitle=text, notes=(text,))
    formats = {
        "terminal": "\n".join(lines_of(table, 200)),
        "markdown": table_as_markdown(table),
        "latex": tables_as_latex([table]),
        "html": table_as_html(table),
        "csv": table_as_csv(table),
        "json": table_as_json(table),
    }
    for name, content in formats.items():
        assert all(c == "\n" or c.isprintable() for c in content), name
    assert formats["latex"].isascii()
    assert "\\end{document}" not in formats["latex"]
    assert "\\input{" not in formats["latex"]
    elements = Elements(formats["html"]).elements
    table_tags = {"table", "thead", "tbody", "tr", "th", "td"}
    names = {name for tag, attributes in elements for name in (tag, *attributes)}
    assert names == table_tags | {"p", "b", "br", "small", "title"}
    rows = [line for line in formats["markdown"].splitlines() if line.startswith("| ")]
    assert all(line.count("|") - line.count("\\|") == 3 for line in rows)
    lines = list(csv.reader(io.StringIO(formats["csv"])))
    assert [line[1] for line in lines] == ["n", "1", "-2"], "numbers stay numbers"
    assert not any(line[0].startswith(("=", "+", "-", "@", "\t", "\r")) for line in lines)
    assert json.loads(formats["json"])["rows"] == [[text, 1], [text, -2]]
    parquet = pq.read_table(io.BytesIO(table_as_parquet(table)))
    assert parquet.column("n").to_pylist() == [1, -2]
    assert all(c.isprintable() for c in parquet.column(0).to_pylist()[0])


@given(st.text())
def test_latex_escapes_are_balanced_ascii(text: str) -> None:
    escaped = escape_latex(text)
    assert escaped.isascii()
    bare = escaped.replace("\\{", "").replace("\\}", "")
    assert bare.count("{") == bare.count("}")
    for special in "#%&_":
        assert escaped.count(special) == escaped.count("\\" + special)


def test_parquet_columns_without_values_have_types() -> None:
    result = QueryResult(
        ("budget", "bits_per_dim", "flow", "mixed", "big", "bytes"),
        ((None, None, None, 1, 2**70, b"\x00"), (None, None, None, 1.5, 1, None)),
        truncated=False,
    )
    schema = pq.read_table(io.BytesIO(table_as_parquet(make_table(result)))).schema
    types = [str(field.type) for field in schema]
    assert types == ["int64", "double", "string", "double", "string", "binary"]


VALUES = st.none() | st.integers() | st.floats() | st.text() | st.binary(max_size=8)
TABLES = st.integers(0, 4).flatmap(
    lambda n: st.lists(st.tuples(*[VALUES] * n), max_size=4).map(
        lambda rows: make_table(QueryResult(tuple(f"c{i}" for i in range(n)), tuple(rows), False))
    )
)


def render(table, width):
    console = Console(width=width, file=io.StringIO())
    console.print(render_rows(table, console), soft_wrap=True)
    return console.file.getvalue()


@given(TABLES)
def test_any_result_can_be_shown(table):
    content = json.loads(table_as_json(table))
    assert len(content["rows"]) == len(table.rows)
    for text in (render(table, 80), table_as_csv(table), table_as_markdown(table)):
        assert all(c == "\n" or c.isprintable() for c in text)
    lines = list(csv.reader(io.StringIO(table_as_csv(table), newline="")))
    assert len(lines) == 1 + len(table.rows)


def test_values_are_exact_for_programs():
    table = make_table(QueryResult(("a", "a"), ((0.1, b"\x00\xff"), (float("inf"), None)), True))
    assert json.loads(table_as_json(table)) == {
        "columns": ["a", "a"],
        "rows": [[0.1, "00ff"], ["inf", None]],
        "truncated": True,
    }
    assert table_as_csv(table) == "a,a\n0.1,00ff\ninf,\n"
    assert "<2 bytes>" in render(table, 80)


def test_wide_rows_are_shown_value_by_value():
    table = make_table(QueryResult(("short", "long"), ((1, "x" * 100),), False))
    assert "row 1" in render(table, 80)
    assert "x" * 100 in render(table, 80)
    assert "row 1" not in render(table, 200)


def test_people_read_numbers_in_the_format_of_their_column():
    columns = (
        TableColumn("mean", "bits/dim", kind="number", places=2, sign=True),
        TableColumn("seeds", kind="number"),
    )
    table = Table(columns, ((0.125, 3), (None, None)), "Title", "more", ("a note",))
    markdown = table_as_markdown(table).splitlines()
    assert markdown[:4] == ["### Title", "", "more", ""]
    assert markdown[4:6] == ["| bits/dim | seeds |", "| ---: | ---: |"]
    assert markdown[6:] == ["| +0.12 | 3 |", "| - | - |", "", "- a note"]
    assert table_as_csv(table) == "mean,seeds\n0.125,3\n,\n"
    for text in (render(table, 80), table_as_html(table), tables_as_latex([table])):
        assert "0.12" in text
        assert "0.125" not in text
